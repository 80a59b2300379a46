/**
 * The operations of a backend: shapes, units and meaning of every operand. T is rows (tokens) of a call. `OperationMap`
 * at the end names each once; a backend implements all of them, and a float64 twin says what each means.
 */
import type { ExpertLayout } from "../base/layout.ts";
import type {
  Arena,
  DeviceRange,
  IndexArray,
  KvLayer,
  Matrix,
  RowMask,
  Tensor,
  Vector,
} from "./tensors.ts";

export type Activation = "none" | "relu";

/**
 * How a hidden layer [T, 2 * width] becomes [T, width]: its first half is the gate g, its second half is u.
 * "gated silu": g * sigmoid(g) * u. "clamped gated silu" (gpt-oss): g is at most 7 and u within -7..7, then
 * g * sigmoid(1.702 * g) * (u + 1).
 */
export type Gating = "gated silu" | "clamped gated silu";

/** Most experts a token. */
export const MOST_TOP_K = 16;

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

/** One half of a gated feed-forward block, between its two products. */
export interface GateOp {
  x: Tensor; // [T, 2 * width]
  gating: Gating;
  out: Tensor; // [T, width]; does not overlap x
  mask?: RowMask;
}

/** x becomes min(limit, max(-limit, x)), in place. */
export interface ClampOp {
  x: Tensor; // [T, width]
  limit: number;
  mask?: RowMask;
}

/**
 * Rotary positions: in each head, pair i of channels (a, b) becomes (a cos_i - b sin_i, b cos_i + a sin_i), in place.
 * Channels from `turned` on stay as they are.
 */
export interface RotaryOp {
  x: Tensor; // [T, heads * head_dim]
  heads: number;
  /** RMS norm of each head, before its pairs are turned. */
  norm?: { readonly weight: Vector /* [head_dim] */; readonly epsilon: number } | undefined;
  /** [T, turned]: cosines of the row's turned / 2 angles, then their sines; turned is even and at most head_dim. */
  angles: Tensor;
  /** "halves": channel i with i + turned / 2; "neighbours": channel 2i with 2i + 1. */
  pairs: "halves" | "neighbours";
  mask?: RowMask;
}

/** How scores become: q . k * scale, plus a bias. Query head h reads key head floor(h / (heads / kv heads)). */
export interface Scores {
  /** head_dim ^ -0.5 unless given. */
  scale?: number | undefined;
  /** None unless given. Positions count from a segment's start, or from a row's first page. */
  bias?: DistanceBias | undefined;
}

/** Full attention inside ragged segments (encoder): row t sees rows starts[t] .. starts[t] + lengths[t] - 1. */
export interface SegmentAttentionOp extends Scores {
  q: Tensor; // [T, heads * head_dim], unscaled
  k: Tensor; // [T, kv heads * head_dim]
  v: Tensor; // [T, kv heads * head_dim]
  heads: number;
  starts: IndexArray; // [T]
  lengths: IndexArray; // [T]
  out: Tensor; // [T, heads * head_dim]
  mask?: RowMask;
}

/**
 * Attention of one query a row over paged keys and values (decoder self- and cross-attention). The query's own
 * position is the row's last: lengths[t] - 1.
 */
export interface PagedAttentionOp extends Scores {
  q: Tensor; // [T, heads * head_dim], unscaled
  heads: number;
  /** Its width is kv heads * head_dim. */
  kv: KvLayer;
  pageTable: IndexArray; // [T, pagesPerRow]
  pagesPerRow: number;
  lengths: IndexArray; // [T] positions each row sees, at least 1
  /** A row sees its last `window` positions alone; all of them unless given. Pages before those are not read. */
  window?: number | undefined;
  /** One more logit a head, which takes part in the softmax and has no value: f32 [heads]. */
  sinks?: Vector | undefined;
  out: Tensor; // [T, heads * head_dim]
  mask?: RowMask;
}

export interface StoreKvOp {
  k: Tensor; // [T, kv.width]
  v: Tensor; // [T, kv.width]
  kv: KvLayer;
  /** page * PAGE_TOKENS + position in page; -1 writes nothing. */
  places: IndexArray; // [T]
  mask?: RowMask;
}

export interface RouterOp {
  x: Tensor; // [T, d_model]
  classifier: Matrix; // f32 [experts, d_model]
  bias?: Vector | undefined;
  /** 1 to MOST_TOP_K. */
  topK: number;
  /**
   * Of the softmax over all experts. "share": chosen probabilities divided by their sum, which is a softmax over the
   * chosen logits; "probability": as they are.
   */
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

/** The layout's index of a place; -1 of no place. */
export function layoutIndexOf(place: number): number {
  return Math.floor(place / PLACE_SLOTS);
}

/** What experts of one layout have in common: matrices in the trunk that each one's own are added to. */
export interface ExpertBase {
  readonly fc1: Matrix; // [d_ff, d_model], or [2 * d_ff, d_model] where gated
  readonly fc2: Matrix; // [d_model, d_ff]
}

/**
 * Runs every (row, rank) that has a place of this layout: hidden = act(x fc1' + b1), out = hidden fc2' + b2. With a
 * base, fc1 and fc2 are the sums of its and the expert's. Called once a distinct layout of the layer.
 */
export interface ExpertsOp {
  x: Tensor; // [T, d_model]
  /** i32 [T, topK]: see `placeOf`; from the router's lookup, or of the experts that are resident now. -1 for none. */
  places: IndexArray;
  topK: number;
  arenas: readonly Arena[];
  layout: ExpertLayout;
  layoutIndex: number;
  base?: ExpertBase | undefined;
  /** Where gated, fc1 has both halves: [2 * d_ff, d_model]. */
  activation: Activation | Gating;
  /** [T * topK, d_model]: row t * topK + rank. Rows without a place of this layout are left alone. */
  out: Tensor;
  mask?: RowMask;
}

export interface CombineOp {
  expertOut: Tensor; // [T * topK, d_model]
  weights: Tensor; // [T, topK]
  topK: number;
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

/** Every operation by its name, and what it takes. */
export interface OperationMap {
  embed: EmbedOp;
  layerNorm: LayerNormOp;
  rmsNorm: RmsNormOp;
  linear: LinearOp;
  gate: GateOp;
  clamp: ClampOp;
  rotary: RotaryOp;
  segmentAttention: SegmentAttentionOp;
  pagedAttention: PagedAttentionOp;
  storeKv: StoreKvOp;
  router: RouterOp;
  experts: ExpertsOp;
  combine: CombineOp;
  vocabTopK: VocabTopKOp;
}

/** The operations as methods. They throw RangeError for operands that do not meet. */
export type Operations = { [Name in keyof OperationMap]: (op: OperationMap[Name]) => void };
