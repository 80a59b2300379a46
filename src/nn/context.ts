/** What every block is given, and the rows of a call. */
import type { Backend, DeviceBuffer, IndexArray, RowMask, Tensor } from "../backend/contract.ts";
import type { Residency } from "../experts/contract.ts";
import type { ModelSpec } from "./spec.ts";
import type { Views } from "./workspace.ts";

export interface Context {
  readonly backend: Backend;
  readonly workspace: Views;
  readonly residency: Residency;
  readonly spec: ModelSpec;
  /** Rows that operations of this pass may write; every block hands it on. */
  readonly mask?: RowMask;
  /** Sees what every sparse layer routes, for calibration. */
  readonly observer?: InputObserver | undefined;
}

/** Told of each pass through a sparse layer before its experts run. */
export interface InputObserver {
  /** The router's input x [T, d_model], its choice i32 [T, topK] and shares [T, topK]; `layer` as in ModelPlan. */
  routed(layer: number, pass: RoutedPass): Promise<void>;
}

/** One pass through one sparse layer, on the device; to be read before the observer answers. */
export interface RoutedPass {
  readonly backend: Backend;
  readonly x: Tensor;
  readonly experts: { readonly buffer: DeviceBuffer; readonly offset: number };
  readonly weights: Tensor;
  readonly topK: number;
}

/** Sources end to end, without padding. All arrays [T]. */
export interface SegmentRows {
  readonly ids: Int32Array;
  /** Row of the position table. */
  readonly positions: Int32Array;
  /** First row and number of rows of the source a row belongs to. */
  readonly starts: Int32Array;
  readonly lengths: Int32Array;
}

/** One row a token: of a live hypothesis, or of a prefix. Arrays are [T] unless said. */
interface DecodeRowsOf<Indices> {
  readonly ids: Indices;
  /** Row of the position table. */
  readonly positions: Indices;
  /** Where this step's K and V go: page * PAGE_TOKENS + place in page. */
  readonly selfPlaces: Indices;
  /** [T, selfPagesPerRow] */
  readonly selfTable: Indices;
  readonly selfPagesPerRow: number;
  /** Positions that a row sees: its own place in the sequence, and all before it. */
  readonly selfLengths: Indices;
  /** [T, crossPagesPerRow] */
  readonly crossTable: Indices;
  readonly crossPagesPerRow: number;
  readonly crossLengths: Indices;
  /** Row t is of the sequence of rows groupStarts[t] .. groupStarts[t] + groupLengths[t] - 1, which stop together. */
  readonly groupStarts: Indices;
  readonly groupLengths: Indices;
  /** 1 where the vocabulary is asked, 0 for prefix tokens whose successor is known. */
  readonly wanted: Int32Array;
  /** Sparse layer (ordinal) at which a parked row goes on, -1 for rows that begin with this step. */
  readonly resumeAt: Int32Array;
  /** Where a parked row's residual was kept; -1. */
  readonly parkedAt: Int32Array;
}

/** A pass as the host makes it. */
export type DecodeRows = DecodeRowsOf<Int32Array>;
/** A pass as blocks read it: its indices may be on the device. */
export type StepRows = DecodeRowsOf<IndexArray>;
