/** Working memory of the kernels: sized once by the largest call, one buffer, counted as activations. */
import { alignUp } from "../../base/units.ts";
import type { ScratchShape } from "../contract.ts";
import { HEAP_ALIGN } from "./heap.ts";

/** Rows that a product takes at a time: a decoded tile serves this many, their staged inputs stay in cache. */
export const ROW_CHUNK = 64;
/** Vocabulary rows a tile of logits; fixed, so that sums over the vocabulary have one order. */
export const VOCAB_TILE = 512;
/** Bytes for page tables and other indices of one call; longer calls run in pieces. */
export const INDEX_BYTES = 65536;
/** Weight rows and columns of a tile of kernels/wasm/gemm.ts. */
const TILE_ROWS = 16;
const TILE_COLUMNS = 256;
/** Positions of a block of kernels/wasm/attention.ts. */
const ATTENTION_BLOCK = 256;

/** Byte offsets of each part, from the start of scratch. */
export interface ScratchParts {
  /** Staged inputs f32 [ROW_CHUNK, cols] and their group sums v128 [ROW_CHUNK, cols / 32]. */
  xs: number;
  sums: number;
  /** A thread's own, `threadBytes` apart: a decoded tile f32 [16, 256]; scales of its rows f32 [16, groups]; totals v128 [ROW_CHUNK, 16]. */
  tile: number;
  expanded: number;
  totals: number;
  /** Expert hidden layer f32 [ROW_CHUNK, maxHidden], gated in place. */
  hidden: number;
  /** Logits of router or vocabulary f32 [ROW_CHUNK, VOCAB_TILE]. */
  logits: number;
  attention: number;
  /** Vocabulary state 16 B [ROW_CHUNK]; candidates f32 and i32 [ROW_CHUNK, maxCandidates]. */
  state: number;
  values: number;
  candidateIds: number;
  /** A codebook: 16 signed bytes (a trellis: from 0 on), then its levels as f32 [16]. */
  levels: number;
  /** i32 0, 1, 2, ... [identityRows]; rows that a mask leaves [maxRows]; rows of experts, twice [maxRows * topK]. */
  identity: number;
  live: number;
  expertIn: number;
  expertOut: number;
  /** Host indices of the running call: i32 [maxRows] twice, and INDEX_BYTES for a table. */
  indexA: number;
  indexB: number;
  table: number;
}

export interface ScratchPlan {
  readonly parts: ScratchParts;
  readonly bytes: number;
  /** Widest input, padded. */
  readonly cols: number;
  /** From one thread's tile, scales and totals to the next one's. */
  readonly threadBytes: number;
}

/** Rows that count themselves: those of a call, or of a chunk of experts, which has a row for each (row, rank). */
export function identityRows(shape: ScratchShape): number {
  return Math.max(shape.maxRows, ROW_CHUNK);
}

/** Where every part of scratch lies for calls up to `shape`. */
export function scratchPlan(shape: ScratchShape, threads: number): ScratchPlan {
  const cols = alignUp(Math.max(shape.maxCols, shape.maxHidden, 1), 128);
  const pairs = shape.maxRows * shape.topK;
  let top = 0;
  const take = (bytes: number) => {
    const at = top;
    top += alignUp(bytes, HEAP_ALIGN);
    return at;
  };
  const own = {
    tile: take(TILE_ROWS * TILE_COLUMNS * 4),
    expanded: take(TILE_ROWS * alignUp(cols / 32, 4) * 4),
    totals: take(ROW_CHUNK * TILE_ROWS * 16),
  };
  const threadBytes = top;
  take((threads - 1) * threadBytes);
  const parts: ScratchParts = {
    ...own,
    xs: take(ROW_CHUNK * cols * 4),
    sums: take(ROW_CHUNK * cols / 32 * 16),
    hidden: take(ROW_CHUNK * shape.maxHidden * 4),
    logits: take(ROW_CHUNK * VOCAB_TILE * 4),
    attention: take((ATTENTION_BLOCK + 2 * cols + 16) * 4),
    state: take(ROW_CHUNK * 16),
    values: take(ROW_CHUNK * shape.maxCandidates * 4),
    candidateIds: take(ROW_CHUNK * shape.maxCandidates * 4),
    levels: take(80),
    identity: take(identityRows(shape) * 4),
    live: take(shape.maxRows * 4),
    expertIn: take(pairs * 4),
    expertOut: take(pairs * 4),
    indexA: take(shape.maxRows * 4),
    indexB: take(shape.maxRows * 4),
    table: take(INDEX_BYTES),
  };
  return { parts, bytes: top, cols, threadBytes };
}

/** Device bytes that `prepare` takes on the CPU for these calls, for planning. */
export function cpuScratchBytes(shape: ScratchShape, threads = 1): number {
  return scratchPlan(shape, threads).bytes;
}
