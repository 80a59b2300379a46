/** The operations of a backend: shapes, units and meaning of every operand. T is rows (tokens) of a call. */
import type { ExpertLayout } from "../base/layout.ts";
import type {
  Arena,
  DeviceRange,
  IndexArray,
  KvLayer,
  Matrix,
  ResidentExpert,
  RowMask,
  Tensor,
  Vector,
} from "./tensors.ts";

export type Activation = "none" | "relu";

export interface LinearOp {
  x: Tensor; // [T, K]
  w: Matrix; // [N, K]
  bias?: Vector | undefined; // [N]
  activation?: Activation;
  /** Added to the result after bias and activation; may be `out` itself. [T, N] */
  residual?: Tensor | undefined;
  out: Tensor; // [T, N]
  mask?: RowMask;
}

export interface EmbedOp {
  ids: IndexArray; // [T]
  /** Row of the sinusoidal table for each token. */
  positions: IndexArray; // [T]
  table: Matrix; // [vocab, d_model]
  /** sqrt(d_model) where embeddings are scaled, else 1. */
  scale: number;
  positionTable: Tensor; // [positions, d_model]
  out: Tensor; // [T, d_model] = table[id] * scale + positionTable[position]
  mask?: RowMask;
}

export interface LayerNormOp {
  x: Tensor; // [T, d_model]
  weight: Vector;
  bias: Vector;
  epsilon: number;
  out: Tensor;
  mask?: RowMask;
}

/** RMS norm: no mean is taken off and there is no bias (T5). */
export interface RmsNormOp {
  x: Tensor; // [T, d_model]
  weight: Vector;
  epsilon: number;
  /** What the result is multiplied by: 1, or what a tied lm_head wants its input scaled by. */
  scale: number;
  out: Tensor; // [T, d_model] = x / sqrt(mean(x^2) + epsilon) * weight * scale; may be x
  mask?: RowMask;
}

/** What a score gains by how far its key lies from its query (T5): table[bucket of the distance, head]. */
export interface DistanceBias {
  table: Matrix; // f32 [buckets, heads]
  /** i32 [2 * reach + 1]: the bucket of key position - query position + reach. */
  buckets: DeviceRange;
  /** Distances beyond this, either way, count as this. */
  reach: number;
}

/** How scores become: q . k * scale, plus a bias. */
export interface Scores {
  /** head_dim ^ -0.5 unless given. */
  scale?: number | undefined;
  /** None unless given. Positions count from a segment's start, or from a row's first page. */
  bias?: DistanceBias | undefined;
}

/** Full attention inside ragged segments (encoder): row t sees rows starts[t] .. starts[t] + lengths[t] - 1. */
export interface SegmentAttentionOp extends Scores {
  q: Tensor; // [T, d_model], unscaled
  k: Tensor; // [T, d_model]
  v: Tensor; // [T, d_model]
  heads: number;
  starts: IndexArray; // [T]
  lengths: IndexArray; // [T]
  out: Tensor; // [T, d_model]
  mask?: RowMask;
}

/**
 * Attention of one query a row over paged keys and values (decoder self- and cross-attention). The query's own
 * position is the row's last: lengths[t] - 1.
 */
export interface PagedAttentionOp extends Scores {
  q: Tensor; // [T, d_model], unscaled
  heads: number;
  kv: KvLayer;
  pageTable: IndexArray; // [T, pagesPerRow]
  pagesPerRow: number;
  lengths: IndexArray; // [T] positions each row sees, at least 1
  out: Tensor; // [T, d_model]
  mask?: RowMask;
}

export interface StoreKvOp {
  k: Tensor; // [T, d_model]
  v: Tensor; // [T, d_model]
  kv: KvLayer;
  /** page * PAGE_TOKENS + position in page; -1 writes nothing. */
  places: IndexArray; // [T]
  mask?: RowMask;
}

export interface RouterOp {
  x: Tensor; // [T, d_model]
  classifier: Matrix; // f32 [experts, d_model]
  bias?: Vector | undefined;
  topK: 1 | 2;
  /** "share": chosen probabilities divided by their sum (NLLB); "probability": as they are (Switch). */
  weighting: "share" | "probability";
  experts: DeviceRange; // i32 [T, topK], rank order
  weights: Tensor; // [T, topK]
  mask?: RowMask;
  /** Set where routing does not wait for the host. */
  lookup?: SlotLookup | undefined;
}

/**
 * Optimistic routing: what the router found is looked up in a table of what is resident, and rows that miss an
 * expert are out of the step from here on. Rows of one sentence stand and fall together: all of a group are live
 * when the operation begins, or none is; where one misses, every row of its group stops at this layer.
 */
export interface SlotLookup {
  /** i32 [experts of this layer]: the expert's place (see `placeOf`), or -1. */
  table: DeviceRange;
  /** i32 [T, topK]: the place of each choice, or -1. Written for rows that were live. */
  places: DeviceRange;
  /** u32 [T], and the mask of this operation: cleared for the rows of a group that misses an expert. */
  live: DeviceRange;
  /** i32 [T]: `layer` is written for the rows whose `live` is cleared here, nothing for the others. */
  faults: DeviceRange;
  /** Ordinal of the sparse layer among all of the model's. */
  layer: number;
  /** Row t is in the group of rows groupStarts[t] .. groupStarts[t] + groupLengths[t] - 1. */
  groupStarts: IndexArray; // [T]
  groupLengths: IndexArray; // [T]
}

/** Slots below this number; above it lies which of its layer's layouts an expert has. */
export const PLACE_SLOTS = 1 << 24;

/**
 * Where an expert lies, as one i32: slot over all arenas (slot s is slot s % n of arena floor(s / n), n the slots
 * of the first arena), and its layout's index among the distinct layouts of its layer.
 */
export function placeOf(slot: number, layoutIndex: number): number {
  return layoutIndex * PLACE_SLOTS + slot;
}

/** What experts of one layout have in common: matrices in the trunk that each one's own are added to. */
export interface ExpertBase {
  readonly fc1: Matrix; // [d_ff, d_model]
  readonly fc2: Matrix; // [d_model, d_ff]
}

/**
 * Runs every (row, rank) that has a place of this layout, wherever it lies: what `experts` does, without the host
 * knowing which. Called once a distinct layout of the layer.
 */
export interface PlacedExpertsOp {
  x: Tensor; // [T, d_model]
  places: DeviceRange; // i32 [T, topK], from the router's lookup
  topK: 1 | 2;
  arenas: readonly Arena[];
  layout: ExpertLayout;
  layoutIndex: number;
  base?: ExpertBase | undefined;
  activation: Activation;
  /** [T * topK, d_model]: row t * topK + rank. Rows of other layouts are left alone. */
  out: Tensor;
  mask?: RowMask;
}

/**
 * Runs every (row, rank) whose expert is in the wave: hidden = act(x fc1' + b1), expertOut = hidden fc2' + b2. With a
 * base, fc1 and fc2 are the sums of its and the expert's.
 */
export interface ExpertsOp {
  x: Tensor; // [T, d_model]
  experts: DeviceRange; // i32 [T, topK], from the router
  topK: 1 | 2;
  arenas: readonly Arena[];
  wave: readonly ResidentExpert[];
  layout: ExpertLayout;
  base?: ExpertBase | undefined;
  activation: Activation;
  /** [T * topK, d_model]: row t * topK + rank. Rows of other experts are left alone. */
  out: Tensor;
  mask?: RowMask;
}

export interface CombineOp {
  expertOut: Tensor; // [T * topK, d_model]
  weights: Tensor; // [T, topK]
  topK: 1 | 2;
  /** 1 - moe_token_dropout. */
  scale: number;
  residual: Tensor; // [T, d_model]
  out: Tensor; // [T, d_model] = residual + scale * sum over rank, in rank order
  mask?: RowMask;
}

/** log-softmax over the vocabulary and its `candidates` best, without the logits ever being whole. */
export interface VocabTopKOp {
  x: Tensor; // [T, d_model]
  w: Matrix; // lm_head [vocab, d_model]
  candidates: number;
  /** i32 [T, candidates], best first; equal values in order of id. */
  ids: DeviceRange;
  logProbs: Tensor; // [T, candidates]
  mask?: RowMask;
}
