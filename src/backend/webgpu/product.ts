/** Rows times a packed matrix: which kernel, with which parameters. Shared by linear, router and vocabulary. */
import { alignUp } from "../../base/units.ts";
import type { LinearOp, Matrix } from "../contract.ts";
import { refuse } from "../shapes.ts";
import type { Binding } from "./buffers.ts";
import { KERNELS } from "./kernels.ts";
import {
  checkApart,
  checkRows,
  Indices,
  type Run,
  scratch,
  tensor,
  vector,
  word,
} from "./operands.ts";
import { tileSize } from "./tiles.ts";
import { matrixWeights, partsOf, type Weights } from "./weights.ts";

/** Rows of activations: f32 [rows, kq * 4], `base` counted from `first` on. */
export interface Rows {
  readonly binding: Binding;
  /** First vector of the first row. */
  readonly at: number;
}

/** Where results go: out[t * stride + n], t and n counted from the first of the call. */
export interface Target {
  readonly out: Binding;
  readonly at: number;
  readonly stride: number;
  readonly bias?: Binding | undefined;
  readonly relu?: boolean;
  readonly residual?: Binding | undefined;
  readonly residualAt?: number;
  readonly residualIsOut?: boolean;
  readonly mask?: Binding | undefined;
  /** First row of the call, as the mask counts. */
  readonly first?: number;
}

/** Matrix rows that a workgroup of gemv.wgsl takes. */
export function gemvRowsOf({ lanes, tiles }: Weights): number {
  return 4 * tiles.gemvThreads / lanes;
}

const STAGED = { 0: { ROTATED: 0 }, 1: { ROTATED: 1 } } as const;

/** `rows` rows of x from row `first` on, ready for a product with w: where they are, or staged. */
export function inputRows(
  run: Run,
  w: Weights,
  x: Binding,
  first: number,
  rows: number,
): Rows {
  const { cols } = w.layout;
  if (!w.staged) return { binding: x, at: x.base / 16 + first * w.kq };
  const out = scratch(run, "staged"), padded = alignUp(cols, 4);
  const rotated = w.rotation === 0 ? 0 : 1, block = rotated ? w.rotation : 1024;
  run.gpu.dispatch({
    kernel: KERNELS.stageRows,
    constants: STAGED[rotated],
    bindings: [x, , , , , , out],
    params: [cols, padded, block, word(x) + first * cols, 0],
    groups: [Math.ceil(padded / block), rows],
  });
  return { binding: out, at: 0 };
}

/** Rows that one product takes: as many as there are, or as can be staged. */
export function rowsAtOnce(run: Run, w: Weights, rows: number): number {
  return w.staged ? Math.min(rows, run.sizes.stagedRows) : rows;
}

/** out = act(x w' + bias) + residual for matrix rows from .. to - 1. */
export function product(
  run: Run,
  w: Weights,
  matrix: Matrix,
  x: Rows,
  rows: number,
  target: Target,
  action: string,
  range: readonly [number, number] = [0, w.layout.rows],
): void {
  const flags = (target.bias ? 1 : 0) | (target.relu ? 2 : 0) | (target.residual ? 4 : 0) |
    (target.residualIsOut ? 8 : 0) | (target.mask ? 16 : 0);
  const { tiles } = w, alone = rows <= tiles.gemvRows, kind = rows <= 16 ? "few" : "many";
  const constants = alone ? w.gemv : w.gemm[kind], { m, n } = tileSize(tiles[kind]);
  for (const part of partsOf(run, matrix, action, ...range)) {
    const column = part.first - range[0];
    run.gpu.dispatch({
      kernel: alone ? KERNELS.linearGemv : KERNELS.linearGemm,
      constants,
      bindings: [
        x.binding,
        part.codes,
        part.words,
        target.bias,
        target.residual,
        target.mask,
        target.out,
      ],
      params: [
        rows,
        part.count,
        w.kq,
        w.units,
        part.codes.base / 16,
        part.words === undefined ? 0 : part.words.base / 2,
        w.layout.groups,
        x.at,
        target.at + column,
        target.stride,
        word(target.bias) + part.first,
        (target.residualAt ?? 0) + column,
        word(target.mask) + (target.first ?? 0),
        flags,
      ],
      groups: alone
        ? [Math.ceil(part.count / gemvRowsOf(w)), rows]
        : [Math.ceil(part.count / n), Math.ceil(rows / m)],
      products: rows * part.count * w.layout.cols,
    });
  }
}

/** `Backend.linear`. Throws RangeError for operands that do not meet, as every operation does. */
export function linear(run: Run, op: LinearOp): void {
  const action = "run linear", total = op.x.rows;
  const x = tensor(run, op.x, total, op.x.cols, action, "x");
  const w = matrixWeights(run, op.w, op.x.cols, action, "w"), n = w.layout.rows;
  const out = tensor(run, op.out, total, n, action, "out");
  const bias = op.bias && vector(run, op.bias, n, action, "bias");
  const residualIsOut = op.residual?.buffer === op.out.buffer &&
    op.residual.offset === op.out.offset && op.residual.cols === n;
  const residual = op.residual && tensor(run, op.residual, total, n, action, "residual");
  if (x.buffer === out.buffer) refuse(action, "out must not be x", op.out.buffer.label);
  checkRows(run, total, action);
  const mask = new Indices(run, action, [[op.mask, total]]).mask(op.mask, total, [out]);
  checkApart(out, [bias, residualIsOut ? undefined : residual, mask], action);
  const step = rowsAtOnce(run, w, total);
  for (let first = 0; first < total; first += step) {
    const rows = Math.min(step, total - first);
    product(run, w, op.w, inputRows(run, w, x, first, rows), rows, {
      out,
      at: word(out) + first * n,
      stride: n,
      bias,
      relu: op.activation === "relu",
      residual: residualIsOut ? undefined : residual,
      residualAt: residualIsOut ? 0 : word(residual) + first * n,
      residualIsOut,
      mask,
      first,
    }, action);
  }
}
