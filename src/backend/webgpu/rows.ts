/** Embedding, layer norm and the weighted sum of experts: operations that go over rows. */
import type {
  CombineOp,
  EmbedOp,
  LayerNormOp,
  RmsNormOp,
  RowMask,
  Tensor,
  Vector,
} from "../contract.ts";
import { checkTable, checkTopK } from "../shapes.ts";
import { floatBits } from "./gpu.ts";
import { KERNELS } from "./kernels.ts";
import {
  checkApart,
  checkIndices,
  checkRows,
  Indices,
  maskWord,
  NONE,
  type Run,
  tensor,
  vector,
  word,
} from "./operands.ts";
import { matrixWeights, partsOf } from "./weights.ts";

const NORM = { 0: { IN_PLACE: 0, RMS: 0 }, 1: { IN_PLACE: 1, RMS: 0 } } as const;
const RMS_NORM = { 0: { IN_PLACE: 0, RMS: 1 }, 1: { IN_PLACE: 1, RMS: 1 } } as const;

/** `Backend.layerNorm`. */
export function layerNorm(run: Run, op: LayerNormOp): void {
  norm(run, op, op.bias, 1, "run layerNorm");
}

/** `Backend.rmsNorm`. */
export function rmsNorm(run: Run, op: RmsNormOp): void {
  norm(run, op, undefined, op.scale, "run rmsNorm");
}

function norm(
  run: Run,
  op: { x: Tensor; weight: Vector; epsilon: number; out: Tensor; mask?: RowMask },
  biasVector: Vector | undefined,
  scale: number,
  action: string,
): void {
  const total = op.x.rows, d = op.x.cols;
  const x = tensor(run, op.x, total, d, action, "x");
  const out = tensor(run, op.out, total, d, action, "out");
  const weight = vector(run, op.weight, d, action, "weight");
  const bias = biasVector && vector(run, biasVector, d, action, "bias");
  checkRows(run, total, action);
  const mask = new Indices(run, action, [[op.mask, total]]).mask(op.mask, total, [out]);
  const inPlace = x.buffer === out.buffer && op.x.offset === op.out.offset;
  checkApart(out, [inPlace ? undefined : x, weight, bias, mask], action);
  run.gpu.dispatch({
    kernel: KERNELS.layerNorm,
    constants: (bias === undefined ? RMS_NORM : NORM)[inPlace ? 1 : 0],
    bindings: [inPlace ? undefined : x, weight, bias, , , mask, out],
    params: [
      d,
      word(x),
      word(weight),
      word(bias),
      word(out),
      maskWord(mask),
      floatBits(op.epsilon),
      floatBits(scale),
    ],
    groups: [total],
  });
}

/** `Backend.embed`, from a table of any width. */
export function embed(run: Run, op: EmbedOp): void {
  const action = "run embed", total = op.out.rows, d = op.out.cols, { mask: live } = op;
  const out = tensor(run, op.out, total, d, action, "out");
  const w = matrixWeights(run, op.table, d, action, "table");
  checkTable(op.table, action);
  const { rows } = op.positionTable;
  const table = tensor(run, op.positionTable, rows, d, action, "positionTable");
  checkRows(run, total, action);
  const up = new Indices(run, action, [[op.ids, total], [op.positions, total], [live, total]]);
  const idBounds = { count: total, low: 0, high: w.layout.rows - 1, name: "ids" };
  checkIndices(op.ids, live, idBounds, action);
  const positionBounds = { count: total, low: 0, high: rows - 1, name: "positions" };
  checkIndices(op.positions, live, positionBounds, action);
  const ids = up.take(op.ids, total), positions = up.take(op.positions, total);
  const mask = up.mask(live, total, [out]);
  checkApart(out, [table, ids, positions, mask], action);
  for (const part of partsOf(run, op.table, action)) {
    run.gpu.dispatch({
      kernel: KERNELS.embed,
      constants: w.decode,
      bindings: [table, part.codes, part.words, ids, positions, mask, out],
      params: [
        d,
        w.units,
        part.codes.base / 16,
        part.words === undefined ? 0 : part.words.base / 2,
        w.layout.groups,
        part.first,
        part.count,
        floatBits(op.scale),
        word(ids),
        word(positions),
        rows,
        word(table),
        word(out),
        maskWord(mask),
      ],
      groups: [total],
    });
  }
}

/** `Backend.combine`. */
export function combine(run: Run, op: CombineOp): void {
  const action = "run combine", total = op.out.rows, d = op.out.cols;
  checkTopK(op.topK, action);
  const expertOut = tensor(run, op.expertOut, total * op.topK, d, action, "expertOut");
  const weights = tensor(run, op.weights, total, op.topK, action, "weights");
  const residual = tensor(run, op.residual, total, d, action, "residual");
  const out = tensor(run, op.out, total, d, action, "out");
  checkRows(run, total, action);
  const mask = new Indices(run, action, [[op.mask, total]]).mask(op.mask, total, [out]);
  const same = residual.buffer === out.buffer && op.residual.offset === op.out.offset;
  checkApart(out, [expertOut, weights, same ? undefined : residual, mask], action);
  run.gpu.dispatch({
    kernel: KERNELS.combine,
    bindings: [expertOut, weights, same ? undefined : residual, , , mask, out],
    params: [
      d,
      op.topK,
      floatBits(op.scale),
      word(expertOut),
      word(weights),
      same ? NONE : word(residual),
      word(out),
      maskWord(mask),
    ],
    groups: [Math.ceil(d / 64), total],
  });
}
