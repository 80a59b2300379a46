/** What the operations of the CPU backend work with: heap, kernels, scratch, and the rows of a call. */
import type { IndexArray, RowMask, ScratchShape } from "../contract.ts";
import { rangeAt, refuse } from "./guards.ts";
import type { Heap } from "./heap.ts";
import type { Kernels } from "./kernels.ts";
import type { KernelPool } from "./pool.ts";
import type { ScratchParts } from "./scratch.ts";

export interface Device {
  readonly heap: Heap;
  readonly kernels: Kernels;
  readonly scratch: Scratch;
  /** Further threads over the same heap; undefined where there is one thread. */
  readonly pool: KernelPool | undefined;
}

/** Scratch once it is taken: addresses instead of offsets. */
export interface Scratch {
  readonly at: ScratchParts;
  readonly shape: ScratchShape;
  readonly cols: number;
  readonly threadBytes: number;
}

/** Rows of a call: i32 [count] at `pointer`, ascending. */
export interface Rows {
  pointer: number;
  count: number;
  /** Every row from 0 on, in order. */
  all: boolean;
}

/** The live rows of a call of `total` rows. */
export function liveRows(d: Device, total: number, mask: RowMask, action: string): Rows {
  const { at, shape } = d.scratch;
  if (total > shape.maxRows) {
    refuse(action, `a call has at most the ${shape.maxRows} rows prepared for`, String(total));
  }
  if (mask === undefined) return { pointer: at.identity, count: total, all: true };
  const flags = hostIndices(d, mask, total, action);
  const live = d.heap.i32, base = at.live / 4;
  let count = 0;
  for (let t = 0; t < total; t++) {
    if (flags[t] !== 0) live[base + count++] = t;
  }
  // Masks of a step mostly leave every row: those keep the ways that are for all of them.
  if (count === total) return { pointer: at.identity, count, all: true };
  return { pointer: at.live, count, all: false };
}

/** Indices as the host sees them: `count` of them, without a copy. */
export function hostIndices(
  d: Device,
  indices: IndexArray,
  count: number,
  action: string,
): Int32Array {
  if (indices instanceof Int32Array) {
    if (indices.length < count) {
      refuse(action, `it needs ${count} indices`, String(indices.length));
    }
    return indices;
  }
  const pointer = rangeAt(indices.buffer, indices.offset, count * 4, action);
  return d.heap.i32.subarray(pointer / 4, pointer / 4 + count);
}

/**
 * Address of `count` indices, copied to `place` if they are the host's. Those of `rows` are checked: `low` to
 * `high` inclusive.
 */
export function deviceIndices(
  d: Device,
  indices: IndexArray,
  rows: Rows,
  bounds: { count: number; low: number; high: number; name: string },
  place: number,
  action: string,
): number {
  const host = hostIndices(d, indices, bounds.count, action);
  const i32 = d.heap.i32, first = rows.pointer / 4;
  for (let m = 0; m < rows.count; m++) {
    const value = host[i32[first + m]!]!;
    if (value < bounds.low || value > bounds.high) {
      refuse(action, `${bounds.name} must be ${bounds.low} to ${bounds.high}`, String(value));
    }
  }
  if (!(indices instanceof Int32Array)) {
    return rangeAt(indices.buffer, indices.offset, bounds.count * 4, action);
  }
  i32.set(indices.length === bounds.count ? indices : indices.subarray(0, bounds.count), place / 4);
  return place;
}
