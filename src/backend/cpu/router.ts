/** The router's choice of experts, and the weighted sum of what they gave. */
import { alignUp } from "../../base/units.ts";
import type { CombineOp, DeviceRange, RouterOp, SlotLookup } from "../contract.ts";
import { type Device, hostIndices, liveRows, type Rows } from "./device.ts";
import { rangeAt, refuse, tensorAt, vectorAt } from "./guards.ts";
import { checkTopK } from "../shapes.ts";
import { matrixWeights } from "./linear.ts";
import { multiply, stageRows } from "./product.ts";
import { ROW_CHUNK, VOCAB_TILE } from "./scratch.ts";

/** `Backend.router`: logits in scratch, softmax and choice a row. */
export function router(d: Device, op: RouterOp): void {
  const action = "run router", total = op.x.rows;
  checkTopK(op.topK, action);
  const x = tensorAt(op.x, total, op.x.cols, action, "x");
  const w = matrixWeights(d, op.classifier, op.x.cols, action, "classifier");
  const experts = rangeAt(op.experts.buffer, op.experts.offset, total * op.topK * 4, action);
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
  if (op.lookup !== undefined) lookUp(d, op, op.lookup, { rows, experts, count: w.n });
}

/** Places of what was chosen; the rows of a group that misses one leave the step. */
function lookUp(
  d: Device,
  op: RouterOp,
  l: SlotLookup,
  { rows, experts, count }: { rows: Rows; experts: number; count: number },
): void {
  const action = "look up places", total = op.x.rows, { topK } = op, i32 = d.heap.i32;
  if (!isRange(op.mask, l.live)) refuse(action, "the mask is the live rows", "another mask");
  const table = rangeAt(l.table.buffer, l.table.offset, count * 4, action) / 4;
  const places = rangeAt(l.places.buffer, l.places.offset, total * topK * 4, action) / 4;
  const live = rangeAt(l.live.buffer, l.live.offset, total * 4, action) / 4;
  const faults = rangeAt(l.faults.buffer, l.faults.offset, total * 4, action) / 4;
  const starts = hostIndices(d, l.groupStarts, total, action);
  const lengths = hostIndices(d, l.groupLengths, total, action);
  // `rows` lies in scratch of its own, so clearing `live` below does not change it.
  const first = rows.pointer / 4;
  for (let m = 0; m < rows.count; m++) {
    const t = i32[first + m]!;
    for (let pair = t * topK; pair < (t + 1) * topK; pair++) {
      i32[places + pair] = i32[table + i32[experts / 4 + pair]!]!;
    }
  }
  for (let m = 0; m < rows.count; m++) {
    const t = i32[first + m]!, end = (starts[t]! + lengths[t]!) * topK;
    if (starts[t]! < 0 || end > total * topK) {
      refuse(action, `groups lie in the ${total} rows`, `${starts[t]} + ${lengths[t]}`);
    }
    for (let pair = starts[t]! * topK; pair < end; pair++) {
      if (i32[places + pair]! >= 0) continue;
      i32[live + t] = 0;
      i32[faults + t] = l.layer;
      break;
    }
  }
}

function isRange(mask: RouterOp["mask"], range: DeviceRange): boolean {
  return mask !== undefined && !(mask instanceof Int32Array) && mask.buffer === range.buffer &&
    mask.offset === range.offset;
}

/** `Backend.combine`. */
export function combine(d: Device, op: CombineOp): void {
  const action = "run combine", total = op.out.rows, width = op.out.cols;
  checkTopK(op.topK, action);
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
