/** Linear layers, norms and embedding on the CPU. */
import type { EmbedOp, LayerNormOp, LinearOp, Matrix, RmsNormOp } from "../contract.ts";
import { type Device, deviceIndices, liveRows } from "./device.ts";
import { checkTable } from "../shapes.ts";
import { matrixAt, refuse, tensorAt, vectorAt } from "./guards.ts";
import { product } from "./product.ts";
import { LEVELS_F32, type Weights, weightsOf } from "./weights.ts";

/** A checked trunk matrix of `cols` columns as kernels take it. */
export function matrixWeights(
  d: Device,
  w: Matrix,
  cols: number,
  action: string,
  name: string,
): Weights {
  const codes = matrixAt(w, cols, action, name);
  return weightsOf(d, w.format, w.layout, codes, codes + w.layout.codesBytes);
}

/** `Backend.linear`. Throws RangeError for operands that do not meet, as every operation does. */
export function linear(d: Device, op: LinearOp): void {
  const action = "run linear", total = op.x.rows;
  const x = tensorAt(op.x, total, op.x.cols, action, "x");
  const w = matrixWeights(d, op.w, op.x.cols, action, "w");
  const out = tensorAt(op.out, total, w.n, action, "out");
  const residual = op.residual === undefined
    ? 0
    : tensorAt(op.residual, total, w.n, action, "residual");
  if (out === x) refuse(action, "out must not be x", op.out.buffer.label);
  const rows = liveRows(d, total, op.mask, action);
  product(d, w, x, rows, rows.pointer, {
    bias: op.bias === undefined ? 0 : vectorAt(op.bias, w.n, action, "bias"),
    relu: op.activation === "relu",
    residual,
    out,
    stride: w.n,
  });
}

/** `Backend.layerNorm`. */
export function layerNorm(d: Device, op: LayerNormOp): void {
  const action = "run layerNorm", total = op.x.rows, width = op.x.cols;
  const x = tensorAt(op.x, total, width, action, "x");
  const out = tensorAt(op.out, total, width, action, "out");
  const weight = vectorAt(op.weight, width, action, "weight");
  const bias = vectorAt(op.bias, width, action, "bias");
  const rows = liveRows(d, total, op.mask, action);
  d.kernels.layerNorm(x, rows.pointer, rows.count, width, weight, bias, op.epsilon, out);
}

/** `Backend.rmsNorm`. */
export function rmsNorm(d: Device, op: RmsNormOp): void {
  const action = "run rmsNorm", total = op.x.rows, width = op.x.cols;
  const x = tensorAt(op.x, total, width, action, "x");
  const out = tensorAt(op.out, total, width, action, "out");
  const weight = vectorAt(op.weight, width, action, "weight");
  const rows = liveRows(d, total, op.mask, action);
  d.kernels.rmsNorm(x, rows.pointer, rows.count, width, weight, op.epsilon, op.scale, out);
}

/** `Backend.embed`, from a table of any width. */
export function embed(d: Device, op: EmbedOp): void {
  const action = "run embed", total = op.out.rows, width = op.out.cols;
  const out = tensorAt(op.out, total, width, action, "out");
  const w = matrixWeights(d, op.table, width, action, "table");
  const table = op.positionTable;
  const positionTable = tensorAt(table, table.rows, width, action, "positionTable");
  const rows = liveRows(d, total, op.mask, action), { at } = d.scratch;
  const idBounds = { count: total, low: 0, high: w.n - 1, name: "ids" };
  const ids = deviceIndices(d, op.ids, rows, idBounds, at.indexA, action);
  const positionBounds = { count: total, low: 0, high: table.rows - 1, name: "positions" };
  const positions = deviceIndices(d, op.positions, rows, positionBounds, at.indexB, action);
  const { bits, zero, group, levels } = op.table.format;
  checkTable(op.table, action);
  d.kernels.embed(
    ids,
    positions,
    rows.pointer,
    rows.count,
    w.codes,
    w.rowBytes,
    bits,
    zero,
    levels === undefined ? 0 : at.levels + LEVELS_F32,
    w.scales,
    w.groups,
    group === 0 ? w.kPadded : group,
    width,
    op.scale,
    positionTable,
    out,
  );
}
