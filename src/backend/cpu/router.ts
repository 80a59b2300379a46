/** The router's choice of experts, and the weighted sum of what they gave. */
import { alignUp } from "../../base/units.ts";
import type { CombineOp, RouterOp } from "../contract.ts";
import { type Device, liveRows } from "./device.ts";
import { rangeAt, refuse, tensorAt, vectorAt } from "./guards.ts";
import { matrixWeights } from "./linear.ts";
import { multiply, stageRows } from "./product.ts";
import { ROW_CHUNK, VOCAB_TILE } from "./scratch.ts";

/** `Backend.router`: logits in scratch, softmax and choice a row. */
export function router(d: Device, op: RouterOp): void {
  const action = "run router", total = op.x.rows;
  const x = tensorAt(op.x, total, op.x.cols, action, "x");
  const w = matrixWeights(d, op.classifier, op.x.cols, action, "classifier");
  const experts = rangeAt(op.experts, 0, total * op.topK * 4, action);
  const weights = tensorAt(op.weights, total, op.topK, action, "weights");
  const bias = op.bias === undefined ? 0 : vectorAt(op.bias, w.n, action, "bias");
  const stride = alignUp(w.n, 4), room = ROW_CHUNK * VOCAB_TILE;
  if (w.n < op.topK || stride > room) {
    refuse(action, `experts are ${op.topK} to ${room}`, String(w.n));
  }
  const step = Math.min(ROW_CHUNK, Math.floor(room / stride));
  const rows = liveRows(d, total, op.mask, action), { at } = d.scratch;
  const target = { bias, relu: false, residual: 0, out: at.logits, stride };
  const share = op.weighting === "share" ? 1 : 0;
  for (let from = 0; from < rows.count; from += step) {
    const count = Math.min(step, rows.count - from);
    multiply(d, w, stageRows(d, w, x, rows, from, count), at.identity, target);
    const outRows = rows.pointer + from * 4;
    d.kernels.choose(at.logits, count, w.n, stride, outRows, op.topK, share, experts, weights);
  }
}

/** `Backend.combine`. */
export function combine(d: Device, op: CombineOp): void {
  const action = "run combine", total = op.out.rows, width = op.out.cols;
  const expertOut = tensorAt(op.expertOut, total * op.topK, width, action, "expertOut");
  const weights = tensorAt(op.weights, total, op.topK, action, "weights");
  const residual = tensorAt(op.residual, total, width, action, "residual");
  const out = tensorAt(op.out, total, width, action, "out");
  const rows = liveRows(d, total, op.mask, action);
  d.kernels.combine(
    expertOut,
    weights,
    op.topK,
    op.scale,
    residual,
    rows.pointer,
    rows.count,
    width,
    out,
  );
}
