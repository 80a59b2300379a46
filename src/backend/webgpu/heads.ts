/** What queries and keys go through between their products and attention: a clamp, norms of heads, rotary positions. */
import type { ClampOp, RotaryOp } from "../contract.ts";
import { refuse, rotaryWidths } from "../shapes.ts";
import { floatBits } from "./gpu.ts";
import { KERNELS } from "./kernels.ts";
import {
  checkApart,
  checkRows,
  Indices,
  maskWord,
  type Run,
  tensor,
  vector,
  word,
} from "./operands.ts";

/** By pairs, without a norm and with one. */
const ROTARY = {
  halves: [{ NEIGHBOURS: 0, NORM: 0 }, { NEIGHBOURS: 0, NORM: 1 }],
  neighbours: [{ NEIGHBOURS: 1, NORM: 0 }, { NEIGHBOURS: 1, NORM: 1 }],
} as const;

/** `Backend.clamp`. */
export function clamp(run: Run, op: ClampOp): void {
  const action = "run clamp", { rows, cols } = op.x;
  if (!(op.limit >= 0)) refuse(action, "a limit is at least 0", String(op.limit));
  const x = tensor(run, op.x, rows, cols, action, "x");
  checkRows(run, rows, action);
  const mask = new Indices(run, action, [[op.mask, rows]]).mask(op.mask, rows, [x]);
  run.gpu.dispatch({
    kernel: KERNELS.clamp,
    bindings: [, , , , , mask, x],
    params: [cols, word(x), maskWord(mask), floatBits(op.limit)],
    groups: [Math.ceil(cols / 64), rows],
  });
}

/** `Backend.rotary`. */
export function rotary(run: Run, op: RotaryOp): void {
  const action = "run rotary", { rows, cols } = op.x;
  const { headDim: head, turned } = rotaryWidths(op, action);
  const x = tensor(run, op.x, rows, cols, action, "x");
  const angles = tensor(run, op.angles, rows, turned, action, "angles");
  const weight = op.norm && vector(run, op.norm.weight, head, action, "weight");
  checkRows(run, rows, action);
  const mask = new Indices(run, action, [[op.mask, rows]]).mask(op.mask, rows, [x]);
  checkApart(x, [angles, weight, mask], action);
  run.gpu.dispatch({
    kernel: KERNELS.rotary,
    constants: ROTARY[op.pairs][weight === undefined ? 0 : 1],
    bindings: [angles, weight, , , , mask, x],
    params: [
      cols,
      head,
      turned,
      word(x),
      word(angles),
      word(weight),
      maskWord(mask),
      floatBits(op.norm?.epsilon ?? 0),
    ],
    groups: [op.heads, rows],
  });
}
