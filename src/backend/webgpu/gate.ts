/** Gated hidden layers: the operation, and the same on scratch between the products of experts. */
import type { GateOp, Gating } from "../contract.ts";
import { refuse } from "../shapes.ts";
import type { Binding } from "./buffers.ts";
import { KERNELS } from "./kernels.ts";
import { checkApart, checkRows, Indices, maskWord, type Run, tensor, word } from "./operands.ts";

/** By gating: of x in a buffer of its own, and of x in that of the result. */
const CONSTANTS = {
  "gated silu": [{ CLAMPED: 0, SHARED: 0 }, { CLAMPED: 0, SHARED: 1 }],
  "clamped gated silu": [{ CLAMPED: 1, SHARED: 0 }, { CLAMPED: 1, SHARED: 1 }],
} as const;

/** How many channels remain of a hidden layer of `width`, which must have two halves. */
export function gatedWidth(width: number, action: string): number {
  if (width % 2 !== 0) refuse(action, "a gated layer has two halves", `a width of ${width}`);
  return width / 2;
}

/** Rows of x [rows, 2 * width] to rows of out [rows, width]; in one buffer, they lie apart in the same binding. */
export function gateRows(
  run: Run,
  gating: Gating,
  c: { x: Binding; out: Binding; width: number; rows: number; mask?: Binding | undefined },
): void {
  const shared = c.x.buffer === c.out.buffer;
  run.gpu.dispatch({
    kernel: KERNELS.gate,
    constants: CONSTANTS[gating][shared ? 1 : 0],
    bindings: [shared ? undefined : c.x, , , , , c.mask, c.out],
    params: [c.width, word(c.x), word(c.out), maskWord(c.mask)],
    groups: [Math.ceil(c.width / 64), c.rows],
  });
}

/** `Backend.gate`. */
export function gate(run: Run, op: GateOp): void {
  const action = "run gate", rows = op.x.rows, width = gatedWidth(op.x.cols, action);
  const x = tensor(run, op.x, rows, op.x.cols, action, "x");
  const out = tensor(run, op.out, rows, width, action, "out");
  checkRows(run, rows, action);
  const mask = new Indices(run, action, [[op.mask, rows]]).mask(op.mask, rows, [out]);
  checkApart(out, [x, mask], action);
  gateRows(run, op.gating, { x, out, width, rows, mask });
}
