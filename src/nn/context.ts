/** What every block is given, and the rows of a call. */
import type { Backend } from "../backend/contract.ts";
import type { Residency } from "../experts/contract.ts";
import type { ModelSpec } from "./spec.ts";
import type { Workspace } from "./workspace.ts";

export interface Context {
  readonly backend: Backend;
  readonly workspace: Workspace;
  readonly residency: Residency;
  readonly spec: ModelSpec;
}

/** Sentences end to end, without padding. All arrays [T]. */
export interface EncodeRows {
  readonly ids: Int32Array;
  /** Row of the position table. */
  readonly positions: Int32Array;
  /** First row and number of rows of the sentence a row belongs to. */
  readonly starts: Int32Array;
  readonly lengths: Int32Array;
}

/** One row a live hypothesis (and one a prefix token at its first step). Arrays are [T] unless said. */
export interface DecodeRows {
  readonly ids: Int32Array;
  readonly positions: Int32Array;
  /** Where this step's K and V go: page * PAGE_TOKENS + place in page. */
  readonly selfPlaces: Int32Array;
  /** [T, selfPagesPerRow] */
  readonly selfTable: Int32Array;
  readonly selfPagesPerRow: number;
  readonly selfLengths: Int32Array;
  /** [T, crossPagesPerRow] */
  readonly crossTable: Int32Array;
  readonly crossPagesPerRow: number;
  readonly crossLengths: Int32Array;
  /** 1 where the vocabulary is asked, 0 for prefix tokens whose successor is known. */
  readonly wanted: Int32Array;
}
