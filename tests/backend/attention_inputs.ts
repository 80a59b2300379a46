/** Inputs of attention tests: ragged segments, and pages of keys and values. */
import {
  type Backend,
  type KvBits,
  type KvLayer,
  PAGE_TOKENS,
} from "../../src/backend/contract.ts";
import { keptTwin } from "../../tools/twin/attention.ts";
import type { Random } from "../../tools/twin/packed.ts";
import { toHalfBits } from "../../src/quant/half.ts";
import * as on from "./device.ts";

/** Segments end to end: where each row's begins and how many rows it has. */
export function segments(lengths: number[]) {
  const total = lengths.reduce((a, b) => a + b, 0);
  const starts = new Int32Array(total), each = new Int32Array(total);
  let at = 0;
  for (const length of lengths) {
    starts.fill(at, at, at + length);
    each.fill(length, at, at + length);
    at += length;
  }
  return { total, starts, lengths: each };
}

/** Writes `data` into a layer's pages as they hold it. */
export function fillPages(backend: Backend, kv: KvLayer, data: Float32Array<ArrayBuffer>) {
  const held = kv.bits === 32 ? data : Uint16Array.from(data, toHalfBits);
  backend.write(kv.buffer, kv.offset, on.asBytes(held));
}

/** A layer of random pages and, a row, a shuffled table of them. */
export function paged(
  backend: Backend,
  d: number,
  lengths: number[],
  random: Random,
  bits: KvBits = 32,
) {
  const pagesPerRow = Math.ceil(Math.max(...lengths) / PAGE_TOKENS) + 1;
  const pages = pagesPerRow * lengths.length + 3;
  const data = on.randoms(pages * PAGE_TOKENS * 2 * d, random).map((x) => keptTwin(x, bits));
  const store = on.tensor(backend, pages * PAGE_TOKENS * bits / 16, d);
  const kv: KvLayer = { buffer: store.buffer, offset: store.offset, pages, width: d, bits };
  fillPages(backend, kv, data);
  const order = [...Array(pages).keys()].sort(() => random() - 0.5);
  const table = Int32Array.from(order.slice(0, pagesPerRow * lengths.length));
  return { kv, store, data, table, pagesPerRow, lengths: Int32Array.from(lengths) };
}
