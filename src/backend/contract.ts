/**
 * The Backend contract: what a device can do for a model, in terms that a CPU and a GPU both meet.
 *
 * Operations are recorded in order and run no later than the next `readback`. The CPU backend runs each at
 * once; WebGPU encodes them and submits. Every activation is f32, row-major. T is rows (tokens) of a call.
 *
 * Promise of results: for one backend, adapter and version, a row's result has the same bits whatever other
 * rows are in the call. So each row's reduction has one blocking for every T, attention is split by the row's
 * own length alone, and expert outputs are combined in rank order.
 */
import type { ExpertLayout, MatrixFormat, MatrixLayout } from "../base/layout.ts";
import type { MoqeError } from "../base/errors.ts";
import type { GpuLine } from "../base/ledger.ts";

/** Bytes on the device. Made by `alloc`, owned by whoever asked, given back by `free`. */
export interface DeviceBuffer {
  readonly id: number;
  readonly bytes: number;
  readonly label: string;
}

/** f32 [rows, cols] inside a buffer. A view: owns nothing. */
export interface Tensor {
  readonly buffer: DeviceBuffer;
  /** Byte offset, a multiple of 16 (CPU) or of limits.offsetAlignment (WebGPU). */
  readonly offset: number;
  readonly rows: number;
  readonly cols: number;
}

/** A weight matrix on the device in its packed form: codes at `offset`, scales behind them. */
export interface Matrix {
  readonly buffer: DeviceBuffer;
  readonly offset: number;
  readonly layout: MatrixLayout;
  readonly format: MatrixFormat;
}

/** An f32 vector on the device (norm, bias). */
export interface Vector {
  readonly buffer: DeviceBuffer;
  readonly offset: number;
  readonly length: number;
}

/** Bytes inside a buffer from `offset` (a multiple as in Tensor) on. A view: owns nothing. */
export interface DeviceRange {
  readonly buffer: DeviceBuffer;
  readonly offset: number;
}

/** i32 indices: known to the host, or left on the device by an earlier operation. */
export type IndexArray = Int32Array | DeviceRange;

/**
 * Which rows of a call are live: u32 [T] on the device, 0 = skip. A skipped row's outputs are not written
 * (K/V included). Undefined means that all are live.
 */
export type RowMask = IndexArray | undefined;

/** One expert of a wave and where its block lies. */
export interface ResidentExpert {
  readonly expert: number;
  readonly arena: number;
  readonly slot: number;
}

/** A buffer of equal slots, one expert block a slot; a wider block takes adjacent slots. */
export interface Arena {
  readonly buffer: DeviceBuffer;
  readonly slotBytes: number;
  readonly slots: number;
}

/**
 * Paged K and V of one decoder layer: page p holds PAGE_TOKENS keys, then as many values, each f32 [d_model].
 * Position i of a row is in page table[row, floor(i / PAGE_TOKENS)] at i % PAGE_TOKENS.
 */
export interface KvLayer {
  readonly buffer: DeviceBuffer;
  readonly offset: number;
  readonly pages: number;
  readonly dModel: number;
}
export const PAGE_TOKENS = 16;

export interface BackendLimits {
  /** The largest range one kernel can see; arenas and matrices above it are split. */
  readonly maxBindingBytes: number;
  readonly maxBufferBytes: number;
  readonly offsetAlignment: number;
}

/** The largest call that will come, so that scratch is taken once and counted. */
export interface ScratchShape {
  readonly maxRows: number;
  /** Widest input of any matrix (d_ff), widest expert hidden layer, experts a token. */
  readonly maxCols: number;
  readonly maxHidden: number;
  readonly topK: number;
  /** Most candidates a row that `vocabTopK` is asked for. */
  readonly maxCandidates: number;
}

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

/** Full attention inside ragged segments (encoder): row t sees rows starts[t] .. starts[t] + lengths[t] - 1. */
export interface SegmentAttentionOp {
  q: Tensor; // [T, d_model], unscaled
  k: Tensor; // [T, d_model]
  v: Tensor; // [T, d_model]
  heads: number;
  starts: IndexArray; // [T]
  lengths: IndexArray; // [T]
  out: Tensor; // [T, d_model]
  mask?: RowMask;
}

/** Attention of one query a row over paged keys and values (decoder self- and cross-attention). */
export interface PagedAttentionOp {
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
  activation: Activation;
  /** [T * topK, d_model]: row t * topK + rank. Rows of other layouts are left alone. */
  out: Tensor;
  mask?: RowMask;
}

/** Runs every (row, rank) whose expert is in the wave: hidden = act(x fc1' + b1), expertOut = hidden fc2' + b2. */
export interface ExpertsOp {
  x: Tensor; // [T, d_model]
  experts: DeviceRange; // i32 [T, topK], from the router
  topK: 1 | 2;
  arenas: readonly Arena[];
  wave: readonly ResidentExpert[];
  layout: ExpertLayout;
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

export interface Backend {
  readonly name: "cpu" | "webgpu";
  /** One line for logs and metrics: adapter, SIMD, version. */
  readonly description: string;
  /**
   * Resolves with why once the device is gone for good (lost, or out of memory while it worked): a MoqeError
   * `unavailable`, which every later operation and readback throws too. Pending while it works; buffers made
   * before are gone with it, `close` still gives their reservations back.
   */
  readonly lost: Promise<MoqeError>;
  readonly limits: BackendLimits;

  /** Zeroed bytes, asked of the ledger first. Throws MoqeError `over_budget`. */
  alloc(label: string, bytes: number, line: GpuLine): DeviceBuffer;
  free(buffer: DeviceBuffer): void;
  /** Host bytes into a buffer. Throws RangeError when they do not fit. Ordered with operations. */
  write(buffer: DeviceBuffer, offset: number, bytes: Uint8Array): void;
  /** Buffer bytes to the host, after everything recorded so far. */
  readback(buffer: DeviceBuffer, offset: number, bytes: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Copies between or inside buffers (pages of forked beams). Ranges must not overlap. */
  copy(
    from: DeviceBuffer,
    fromOffset: number,
    to: DeviceBuffer,
    toOffset: number,
    bytes: number,
  ): void;
  /** Starts what was recorded; a no-op where operations run at once. */
  submit(): void;
  /** Takes scratch for the largest call (ledger line `activations`). Called once, before operations. */
  prepare(shape: ScratchShape): void;
  /** Arenas of equal slots, none larger than a binding. */
  createArenas(slotBytes: number, slots: number): Arena[];

  embed(op: EmbedOp): void;
  layerNorm(op: LayerNormOp): void;
  linear(op: LinearOp): void;
  segmentAttention(op: SegmentAttentionOp): void;
  pagedAttention(op: PagedAttentionOp): void;
  storeKv(op: StoreKvOp): void;
  router(op: RouterOp): void;
  experts(op: ExpertsOp): void;
  placedExperts(op: PlacedExpertsOp): void;
  combine(op: CombineOp): void;
  vocabTopK(op: VocabTopKOp): void;

  /** Counts since start: operations recorded, submits, readbacks. */
  counters(): { operations: number; submits: number; readbacks: number };
  /** Gives everything back. */
  close(): void;
}
