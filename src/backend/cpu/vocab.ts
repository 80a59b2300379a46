/** Log-softmax over the vocabulary with its best candidates, a tile of logits at a time. */
import type { VocabTopKOp } from "../contract.ts";
import { type Device, liveRows } from "./device.ts";
import { rangeAt, refuse, tensorAt } from "./guards.ts";
import { matrixWeights } from "./linear.ts";
import { multiply, stageRows } from "./product.ts";
import { ROW_CHUNK, VOCAB_TILE } from "./scratch.ts";

/** `Backend.vocabTopK`: logits exist only for VOCAB_TILE words of ROW_CHUNK rows at a time. */
export function vocabTopK(d: Device, op: VocabTopKOp): void {
  const action = "run vocabTopK", total = op.x.rows, { candidates } = op;
  const x = tensorAt(op.x, total, op.x.cols, action, "x");
  const w = matrixWeights(d, op.w, op.x.cols, action, "w");
  const most = Math.min(w.n, d.scratch.shape.maxCandidates);
  if (!(candidates >= 1 && candidates <= most)) {
    refuse(action, `candidates are 1 to ${most}`, String(candidates));
  }
  const ids = rangeAt(op.ids.buffer, op.ids.offset, total * candidates * 4, action);
  const logProbs = tensorAt(op.logProbs, total, candidates, action, "logProbs");
  const rows = liveRows(d, total, op.mask, action), { at } = d.scratch, k = d.kernels;
  const target = { bias: 0, relu: false, residual: 0, out: at.logits, stride: VOCAB_TILE };
  for (let from = 0; from < rows.count; from += ROW_CHUNK) {
    const count = Math.min(ROW_CHUNK, rows.count - from);
    const staged = stageRows(d, w, x, rows, from, count);
    k.vocabBegin(at.state, count, candidates, at.values, at.candidateIds);
    for (let first = 0; first < w.n; first += VOCAB_TILE) {
      const n = Math.min(VOCAB_TILE, w.n - first);
      multiply(d, w, staged, at.identity, target, first, n);
      k.vocabTile(
        at.logits,
        VOCAB_TILE,
        count,
        first,
        n,
        at.state,
        candidates,
        at.values,
        at.candidateIds,
      );
    }
    const outRows = rows.pointer + from * 4;
    k.vocabEnd(
      at.state,
      count,
      outRows,
      candidates,
      at.values,
      at.candidateIds,
      ids,
      logProbs,
    );
  }
}
