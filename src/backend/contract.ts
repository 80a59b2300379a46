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
import type { MoqeError } from "../base/errors.ts";
import type { GpuLine } from "../base/ledger.ts";
import type { Operations } from "./operations.ts";
import type { Arena, DeviceBuffer } from "./tensors.ts";

export * from "./operations.ts";
export * from "./tensors.ts";

export interface BackendLimits {
  /** The largest range one kernel can see; arenas and matrices above it are split. */
  readonly maxBindingBytes: number;
  readonly maxBufferBytes: number;
  readonly offsetAlignment: number;
}

/** The largest call that will come, so that scratch is taken once and counted. */
export interface ScratchShape {
  readonly maxRows: number;
  /** Widest input of any matrix (d_ff), widest hidden layer of an expert (both halves where gated), experts a token. */
  readonly maxCols: number;
  readonly maxHidden: number;
  readonly topK: number;
  /** Most candidates a row that `vocabTopK` is asked for. */
  readonly maxCandidates: number;
}

/** A device: its memory, and the operations that run on it. */
export type Backend = BackendBase & Operations;

/** All of a device but its operations. */
export interface BackendBase {
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

  /** Counts since start: operations recorded, submits, readbacks. */
  counters(): { operations: number; submits: number; readbacks: number };
  /** Gives everything back. */
  close(): void;
}
