/** Attention over segments and over paged keys and values, and the storing of the latter. */
import {
  type KvLayer,
  kvPageBytes,
  PAGE_TOKENS,
  type PagedAttentionOp,
  type Scores,
  type SegmentAttentionOp,
  type StoreKvOp,
} from "../contract.ts";
import { type Device, deviceIndices, hostIndices, liveRows, type Rows } from "./device.ts";
import { checkKv, checkWindow, headsAKey, headWidth } from "../shapes.ts";
import { matrixAt, rangeAt, refuse, tensorAt, vectorAt } from "./guards.ts";
import { INDEX_BYTES } from "./scratch.ts";

/** The scale of a call's scores, and its bias as kernels take it: table, bytes of its rows, buckets, reach. */
function scoresOf(
  d: Device,
  op: Scores & { heads: number },
  headDim: number,
  action: string,
): { scale: number; bias: readonly number[] } {
  const scale = op.scale ?? 1 / Math.sqrt(headDim);
  if (op.bias === undefined) return { scale, bias: [0, 0, 0, 0] };
  const { table, buckets, reach } = op.bias, { bits } = table.format;
  if (bits !== 32) refuse(action, "the bias table must be f32", `${bits} bits`);
  const codes = matrixAt(table, op.heads, action, "bias table");
  const count = 2 * reach + 1, high = table.layout.rows - 1;
  const pointer = rangeAt(buckets.buffer, buckets.offset, count * 4, action);
  const i32 = d.heap.i32;
  for (let i = pointer / 4; i < pointer / 4 + count; i++) {
    if (!(i32[i]! >= 0 && i32[i]! <= high)) {
      refuse(action, `buckets must be 0 to ${high}`, String(i32[i]));
    }
  }
  return { scale, bias: [codes, table.layout.rowBytes, pointer, reach] };
}

/** `Backend.segmentAttention`: rows of one segment should be neighbours, its keys then stay in cache. */
export function segmentAttention(d: Device, op: SegmentAttentionOp): void {
  const action = "run segmentAttention", total = op.q.rows, width = op.q.cols;
  const headDim = headWidth(width, op.heads, action), keyWidth = op.k.cols;
  const group = headsAKey(op.heads, headDim, keyWidth, action);
  const q = tensorAt(op.q, total, width, action, "q");
  const k = tensorAt(op.k, op.k.rows, keyWidth, action, "k");
  const v = tensorAt(op.v, op.k.rows, keyWidth, action, "v");
  const out = tensorAt(op.out, total, width, action, "out");
  const { scale, bias } = scoresOf(d, op, headDim, action);
  const rows = liveRows(d, total, op.mask, action), { at } = d.scratch;
  const bounds = { count: total, low: 0, high: op.k.rows - 1, name: "starts" };
  const starts = deviceIndices(d, op.starts, rows, bounds, at.indexA, action);
  const lengthBounds = { count: total, low: 1, high: op.k.rows, name: "lengths" };
  const lengths = deviceIndices(d, op.lengths, rows, lengthBounds, at.indexB, action);
  const i32 = d.heap.i32;
  for (let m = 0; m < rows.count; m++) {
    const t = i32[rows.pointer / 4 + m]!;
    const end = i32[starts / 4 + t]! + i32[lengths / 4 + t]!;
    if (end > op.k.rows) refuse(action, `segments end by row ${op.k.rows}`, String(end));
  }
  d.kernels.segmentAttention(
    q,
    k,
    v,
    rows.pointer,
    rows.count,
    starts,
    lengths,
    headDim,
    op.heads,
    group,
    scale,
    at.attention,
    out,
    ...bias,
  );
}

function kvAt(kv: KvLayer, width: number, headDim: number, action: string): number {
  checkKv(kv, width, headDim, action);
  return rangeAt(kv.buffer, kv.offset, kv.pages * kvPageBytes(width, kv.bits), action);
}

/** More positions than a row can have: a window that hides none. */
const NO_WINDOW = 2 ** 31 - 1;

/** `Backend.pagedAttention`. Pages of live rows are checked, so that a stale table cannot read elsewhere. */
export function pagedAttention(d: Device, op: PagedAttentionOp): void {
  const action = "run pagedAttention", total = op.q.rows, width = op.q.cols;
  const headDim = headWidth(width, op.heads, action);
  const group = headsAKey(op.heads, headDim, op.kv.width, action);
  checkWindow(op.window, action);
  const q = tensorAt(op.q, total, width, action, "q");
  const out = tensorAt(op.out, total, width, action, "out");
  const kv = kvAt(op.kv, op.kv.width, headDim, action);
  const sinks = op.sinks === undefined ? 0 : vectorAt(op.sinks, op.heads, action, "sinks");
  const { scale, bias } = scoresOf(d, op, headDim, action);
  const rows = liveRows(d, total, op.mask, action), { at } = d.scratch;
  const bounds = { count: total, low: 1, high: op.pagesPerRow * PAGE_TOKENS, name: "lengths" };
  const lengths = deviceIndices(d, op.lengths, rows, bounds, at.indexA, action);
  const table = hostIndices(d, op.pageTable, total * op.pagesPerRow, action);
  const window = Math.min(op.window ?? NO_WINDOW, NO_WINDOW);
  checkPages(d, op, { rows, lengths, table, window }, action);
  eachTable(d, op, rows, table, (from, count, pages) =>
    d.kernels.pagedAttention(
      q,
      kv,
      op.kv.bits,
      rows.pointer + from * 4,
      count,
      pages,
      op.pagesPerRow,
      lengths,
      headDim,
      op.heads,
      group,
      window,
      sinks,
      scale,
      at.attention,
      out,
      ...bias,
    ));
}

/** Every page that a live row reads must exist; those before its window may not. */
function checkPages(
  d: Device,
  op: PagedAttentionOp,
  of: { rows: Rows; lengths: number; table: Int32Array; window: number },
  action: string,
): void {
  const i32 = d.heap.i32, high = op.kv.pages;
  for (let m = 0; m < of.rows.count; m++) {
    const t = i32[of.rows.pointer / 4 + m]!, base = t * op.pagesPerRow;
    const length = i32[of.lengths / 4 + t]!, first = Math.max(0, length - of.window);
    const end = base + ((length + PAGE_TOKENS - 1) >> 4);
    for (let p = base + (first >> 4); p < end; p++) {
      const page = of.table[p]!;
      if (page < 0 || page >= high) refuse(action, `pages are 0 to ${high - 1}`, String(page));
    }
  }
}

/**
 * Calls `run` for pieces of `rows` whose part of the page table fits in scratch. `pages` is the address that row
 * 0's table would have, so that a kernel may index it by row.
 */
function eachTable(
  d: Device,
  op: PagedAttentionOp,
  rows: Rows,
  table: Int32Array,
  run: (from: number, count: number, pages: number) => void,
): void {
  const perRow = op.pagesPerRow, i32 = d.heap.i32, first = rows.pointer / 4;
  const place = d.scratch.at.table;
  const most = Math.floor(INDEX_BYTES / 4 / Math.max(1, perRow));
  if (most < 1) {
    refuse("run pagedAttention", `a row has at most ${INDEX_BYTES / 4} pages`, String(perRow));
  }
  for (let from = 0; from < rows.count;) {
    const low = i32[first + from]!;
    let count = 1;
    while (from + count < rows.count && i32[first + from + count]! - low < most) count++;
    const high = i32[first + from + count - 1]!;
    i32.set(table.subarray(low * perRow, (high + 1) * perRow), place / 4);
    run(from, count, place - low * perRow * 4);
    from += count;
  }
}

/** `Backend.storeKv`. */
export function storeKv(d: Device, op: StoreKvOp): void {
  const action = "run storeKv", total = op.k.rows, { width } = op.kv;
  const k = tensorAt(op.k, total, width, action, "k");
  const v = tensorAt(op.v, total, width, action, "v");
  const kv = kvAt(op.kv, width, width, action);
  const rows = liveRows(d, total, op.mask, action), { at } = d.scratch;
  const high = op.kv.pages * PAGE_TOKENS - 1;
  const bounds = { count: total, low: -1, high, name: "places" };
  const places = deviceIndices(d, op.places, rows, bounds, at.indexA, action);
  d.kernels.storeKv(k, v, rows.pointer, rows.count, places, width, kv, op.kv.bits);
}
