/** Log-softmax over the vocabulary with its best candidates, split over the vocabulary. */
import type { VocabTopKOp } from "../contract.ts";
import { refuse } from "../shapes.ts";
import type { Binding } from "./buffers.ts";
import { KERNELS } from "./kernels.ts";
import {
  checkRows,
  Indices,
  maskWord,
  range,
  type Run,
  scratch,
  tensor,
  word,
} from "./operands.ts";
import { inputRows, product, type Rows, rowsAtOnce } from "./product.ts";
import { matrixWeights, type Weights } from "./weights.ts";

/** Words of a tile, as kernels/wgsl/vocab_tile.wgsl has it; fixed, so that sums have one order. */
const TILE = 512;
/** Tiles that kernels/wgsl/vocab_merge.wgsl can merge. */
const MOST_TILES = 1024;
/** Words of a chunk at the most: a dispatch has at most 65,535 workgroups of eight words or more. */
const MOST_WORDS = 2 ** 18;

interface Pass {
  op: VocabTopKOp;
  w: Weights;
  first: number;
  rows: number;
  tiles: number;
  mask: Binding | undefined;
}

/** `Backend.vocabTopK`: logits exist only for as many words and rows as scratch has room for. */
export function vocabTopK(run: Run, op: VocabTopKOp): void {
  const action = "run vocabTopK", total = op.x.rows, { candidates } = op;
  const x = tensor(run, op.x, total, op.x.cols, action, "x");
  const w = matrixWeights(run, op.w, op.x.cols, action, "w"), vocab = w.layout.rows;
  const most = Math.min(vocab, run.shape.maxCandidates);
  if (!(candidates >= 1 && candidates <= most)) {
    refuse(action, `candidates are 1 to ${most}`, String(candidates));
  }
  const tiles = Math.ceil(vocab / TILE), record = (2 + 2 * candidates) * 4;
  const fit = Math.floor(run.sizes.records / (tiles * record));
  if (tiles > MOST_TILES || fit < 1) {
    refuse(action, `a vocabulary has at most ${MOST_TILES * TILE} words`, String(vocab));
  }
  const ids = range(run, op.ids, total * candidates * 4, action);
  const logProbs = tensor(run, op.logProbs, total, candidates, action, "logProbs");
  checkRows(run, total, action);
  const mask = new Indices(run, action, [[op.mask, total]]).mask(op.mask, total, [ids, logProbs]);
  const step = rowsAtOnce(run, w, Math.min(total, fit, Math.floor(run.sizes.logits / 4 / TILE)));
  for (let first = 0; first < total; first += step) {
    const rows = Math.min(step, total - first);
    const pass = { op, w, first, rows, tiles, mask };
    tileRecords(run, pass, inputRows(run, w, x, first, rows), action);
    run.gpu.dispatch({
      kernel: KERNELS.vocabMerge,
      bindings: [scratch(run, "records"), , , , ids, mask, logProbs],
      params: [candidates, tiles, 0, vocab, first, word(ids), word(logProbs), maskWord(mask)],
      groups: [rows],
    });
  }
}

/** Logits of a chunk of the vocabulary at a time, and what remains of their tiles. */
function tileRecords(run: Run, pass: Pass, x: Rows, action: string): void {
  const { op, w, first, rows, tiles, mask } = pass;
  const logits = scratch(run, "logits"), records = scratch(run, "records");
  const vocab = w.layout.rows, room = Math.floor(run.sizes.logits / 4 / rows / TILE);
  const wide = Math.min(MOST_WORDS, room * TILE);
  for (let from = 0; from < vocab; from += wide) {
    const n = Math.min(wide, vocab - from);
    const target = { out: logits, at: 0, stride: n, mask, first };
    product(run, w, op.w, x, rows, target, action, [from, from + n]);
    run.gpu.dispatch({
      kernel: KERNELS.vocabTile,
      bindings: [logits, , , , , mask, records],
      params: [n, from, n, 0, op.candidates, tiles, 0, first, maskWord(mask)],
      groups: [Math.ceil(n / TILE), rows],
    });
  }
}
