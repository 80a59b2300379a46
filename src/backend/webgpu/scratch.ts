/** Working memory of the kernels: sized once by the largest call, counted as activations. */
import { alignUp } from "../../base/units.ts";
import type { ScratchShape } from "../contract.ts";

/** (row, rank) pairs whose hidden layers exist at once. */
const MOST_PAIRS = 512;
/** Hidden layers that a gated one takes the room of: itself, and half as much for what it becomes. */
const GATED_HIDDEN = 1.5;
/** Rows that are padded or rotated at once. */
const STAGED_ROWS = 128;
/** Floats of logits that exist at once, and words of what remains of tiles of them. */
const LOGITS = 2 ** 19;
const RECORDS = 2 ** 18;
/** Slots of an arena whose pairs can be sorted on the device: as kernels/wgsl/experts_sort.wgsl has it. */
export const MOST_SLOTS = 2048;
/** Pairs of a tile of kernels/wgsl/experts_gemm.wgsl. */
export const PAIR_TILE = 16;

/** Bytes of each part; every part is a buffer of its own, since kernels read one while they write another. */
export interface ScratchSizes {
  /** f32 [pairs, maxHidden] and what limits it; or fewer pairs, with their gated halves behind them. */
  readonly hidden: number;
  readonly pairs: number;
  /** f32 [stagedRows, widest input]. */
  readonly staged: number;
  readonly stagedRows: number;
  /** u32: tiles and sorted pairs of an arena. */
  readonly lists: number;
  /** f32 logits of router or vocabulary; u32 records of tiles. */
  readonly logits: number;
  readonly records: number;
  /** u32 [maxRows]: a mask that lies in a buffer that is written. */
  readonly mask: number;
}

/** Sizes for calls up to `shape`, each no larger than a binding. */
export function scratchSizes(shape: ScratchShape, maxBindingBytes: number): ScratchSizes {
  const fit = (rows: number, rowBytes: number) =>
    Math.max(1, Math.min(rows, Math.floor(maxBindingBytes / rowBytes)));
  const hiddenRow = alignUp(Math.max(shape.maxHidden, 4), 4) * 4;
  const stagedRow = alignUp(Math.max(shape.maxCols, shape.maxHidden, 4), 4) * 4;
  const { maxRows, topK } = shape, all = maxRows * topK;
  const leastPairs = Math.ceil(GATED_HIDDEN * topK);
  const mostPairs = Math.min(MOST_PAIRS, Math.ceil(GATED_HIDDEN * all));
  const pairs = Math.max(leastPairs, fit(mostPairs, hiddenRow));
  const stagedRows = Math.max(topK, fit(Math.min(STAGED_ROWS, all), stagedRow));
  return {
    hidden: pairs * hiddenRow,
    pairs,
    staged: stagedRows * stagedRow,
    stagedRows,
    lists: (4 + 4 * pairs + pairs) * 4,
    logits: Math.min(LOGITS * 4, maxBindingBytes),
    records: Math.min(RECORDS * 4, maxBindingBytes),
    mask: shape.maxRows * 4,
  };
}

/** Word of `lists` from which on the sorted pairs lie, behind the tiles. */
export function listsOrder({ pairs }: ScratchSizes): number {
  return 4 + 4 * pairs;
}

/** Pairs whose hidden layers of `width` there is room for, and where gated, those of half as much behind them. */
export function pairsAtOnce(
  { hidden, pairs }: ScratchSizes,
  width: number,
  gated: boolean,
): number {
  return Math.min(pairs, Math.floor(hidden / 4 / (gated ? GATED_HIDDEN * width : width)));
}
