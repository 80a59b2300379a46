/** What operations work on: buffers of a device, and views of them. */
import type { MatrixFormat, MatrixLayout } from "../base/layout.ts";

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

/** A buffer of equal slots, one expert block a slot; a wider block takes adjacent slots. */
export interface Arena {
  readonly buffer: DeviceBuffer;
  readonly slotBytes: number;
  readonly slots: number;
}

/**
 * Paged K and V of one decoder layer: page p holds PAGE_TOKENS keys, then as many values, each [width] in f32 or f16.
 * Position i of a row is in page table[row, floor(i / PAGE_TOKENS)] at i % PAGE_TOKENS. What is stored as f16 is rounded
 * to nearest even, beyond 65504 to 65504, alike on every backend.
 */
export interface KvLayer {
  readonly buffer: DeviceBuffer;
  readonly offset: number;
  readonly pages: number;
  /** Of a key: kv heads * head_dim. */
  readonly width: number;
  /** Of an element. 16 needs an even head_dim. */
  readonly bits: KvBits;
}
export type KvBits = 16 | 32;
export const PAGE_TOKENS = 16;

/** Bytes of one page of one layer. */
export function kvPageBytes(width: number, bits: KvBits): number {
  return PAGE_TOKENS * 2 * width * bits / 8;
}
