/** The router's choice of experts. */
import type { RouterOp } from "../contract.ts";
import { refuse } from "../shapes.ts";
import { bind } from "./buffers.ts";
import { KERNELS } from "./kernels.ts";
import {
  checkApart,
  checkRows,
  Indices,
  maskWord,
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
  const x = tensor(run, op.x, total, op.x.cols, action, "x");
  const w = matrixWeights(op.classifier, op.x.cols, action, "classifier"), n = w.layout.rows;
  const weights = tensor(run, op.weights, total, topK, action, "weights");
  const ids = bind(run.gpu.limits, op.experts, 0, total * topK * 4, action);
  const bias = op.bias && vector(run, op.bias, n, action, "bias");
  const logits = scratch(run, "logits"), room = run.sizes.logits / 4;
  if (n < topK || n > room) refuse(action, `experts are ${topK} to ${room}`, String(n));
  checkRows(run, total, action);
  const mask = new Indices(run, action, [[op.mask, total]]).mask(op.mask, total);
  checkApart(weights, [mask], action);
  checkApart(ids, [mask], action);
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
}
