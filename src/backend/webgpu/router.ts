/** The router's choice of experts. */
import type { RouterOp, SlotLookup } from "../contract.ts";
import { checkTopK, refuse } from "../shapes.ts";
import type { Binding } from "./buffers.ts";
import { KERNELS } from "./kernels.ts";
import {
  checkApart,
  checkRows,
  Indices,
  maskWord,
  range,
  type Run,
  scratch,
  tensor,
  vector,
  word,
} from "./operands.ts";
import { inputRows, product, rowsAtOnce } from "./product.ts";
import { matrixWeights } from "./weights.ts";

/** `Backend.router`: logits in scratch, softmax and choice a row. */
export function router(run: Run, op: RouterOp): void {
  const action = "run router", total = op.x.rows, { topK } = op;
  checkTopK(topK, action);
  const x = tensor(run, op.x, total, op.x.cols, action, "x");
  const w = matrixWeights(run, op.classifier, op.x.cols, action, "classifier"), n = w.layout.rows;
  const weights = tensor(run, op.weights, total, topK, action, "weights");
  const ids = range(run, op.experts, total * topK * 4, action);
  const bias = op.bias && vector(run, op.bias, n, action, "bias");
  const logits = scratch(run, "logits"), room = run.sizes.logits / 4;
  if (n < topK || n > room) refuse(action, `experts are ${topK} to ${room}`, String(n));
  checkRows(run, total, action);
  const up = new Indices(run, action, [
    [op.mask, total],
    [op.lookup?.groupStarts, total],
    [op.lookup?.groupLengths, total],
  ]);
  const mask = up.mask(op.mask, total, [weights, ids]);
  const step = rowsAtOnce(run, w, Math.min(total, Math.floor(room / n)));
  for (let first = 0; first < total; first += step) {
    const rows = Math.min(step, total - first);
    const target = { out: logits, at: 0, stride: n, bias, mask, first };
    product(run, w, op.classifier, inputRows(run, w, x, first, rows), rows, target, action);
    run.gpu.dispatch({
      kernel: KERNELS.choose,
      bindings: [logits, , , , ids, mask, weights],
      params: [
        n,
        n,
        0,
        topK,
        op.weighting === "share" ? 1 : 0,
        first,
        word(ids),
        word(weights),
        maskWord(mask),
      ],
      groups: [rows],
    });
  }
  if (op.lookup !== undefined) lookUp(run, op, op.lookup, { up, ids, count: n });
}

/** Places of what was chosen; the rows of a group that misses one leave the step. */
function lookUp(
  run: Run,
  op: RouterOp,
  l: SlotLookup,
  { up, ids, count }: { up: Indices; ids: Binding; count: number },
): void {
  const action = "look up places", total = op.x.rows, { topK, mask } = op;
  const same = mask !== undefined && !(mask instanceof Int32Array) &&
    mask.buffer === l.live.buffer && mask.offset === l.live.offset;
  if (!same) refuse(action, "the mask is the live rows", "another mask");
  checkGroups(l, total, action);
  const table = range(run, l.table, count * 4, action);
  const starts = up.take(l.groupStarts, total), lengths = up.take(l.groupLengths, total);
  const places = range(run, l.places, total * topK * 4, action);
  const live = range(run, l.live, total * 4, action);
  const faults = range(run, l.faults, total * 4, action);
  for (const out of [places, live, faults]) checkApart(out, [table, starts, lengths], action);
  run.gpu.dispatch({
    kernel: KERNELS.lookUp,
    bindings: [ids, table, starts, lengths, places, live, faults],
    params: [total, topK, count, l.layer, ids, table, starts, lengths, places, live, faults]
      .map((p) => typeof p === "number" ? p : word(p)),
    groups: [Math.ceil(total / 64)],
  });
}

/** Groups that the host knows lie in the rows of the call. */
function checkGroups({ groupStarts, groupLengths }: SlotLookup, total: number, action: string) {
  if (!(groupStarts instanceof Int32Array && groupLengths instanceof Int32Array)) return;
  for (let t = 0; t < total; t++) {
    const start = groupStarts[t]!, end = start + groupLengths[t]!;
    if (start < 0 || end > total) {
      refuse(action, `groups lie in the ${total} rows`, `${start} + ${groupLengths[t]}`);
    }
  }
}
