// Attention of one query row over keys and values, segments (encoder) or pages (decoder).
//
// Keys are taken in blocks of 256 positions from the row's own first one, in pages from the start of the first page that
// it sees, with a running maximum and sum, so a result depends on the row's own positions and not on what else is in the
// call. `group` query heads read one key head: head h reads head h / group.
import { begin, BLOCK, end, gather, lean, score, scores, soften } from "./attention_block";
import { PAGE_TOKENS } from "./store_kv";

/**
 * out[t] = attention of q[t] over rows starts[t] .. starts[t] + lengths[t] - 1 of k and v, for every t in rows.
 * q, out f32 [*, heads * headDim]; k, v f32 [*, heads / group * headDim]; rows i32 [count]; starts, lengths i32 [T] by
 * row; scratch f32 [256 + 2 headDim + 8]. Heads are outermost, so that one head's keys and values stay in cache while
 * a segment's rows pass.
 */
export function segmentAttention(
  q: usize, k: usize, v: usize, rows: usize, count: i32, starts: usize, lengths: usize, headDim: i32,
  heads: i32, group: i32, scale: f32, scratch: usize, out: usize,
  table: usize, tableStride: i32, buckets: usize, reach: i32,
): void {
  const row4 = <usize>(heads * headDim) << 2;
  const stride = <usize>(heads / group * headDim) << 2;
  for (let h = 0; h < heads; h++) {
    const column = <usize>(h * headDim) << 2;
    const keyColumn = <usize>(h / group * headDim) << 2;
    for (let m = 0; m < count; m++) {
      const row = <usize>load<i32>(rows + (<usize>m << 2));
      const start = load<i32>(starts + (row << 2));
      const base = <usize>start * stride + keyColumn;
      const length = load<i32>(lengths + (row << 2));
      begin(q + row * row4 + column, headDim, scale, scratch, 0);
      for (let j = 0; j < length; j += BLOCK) {
        const here = min(BLOCK, length - j);
        const at = base + <usize>j * stride;
        score<f32>(k + at, stride, here, headDim, scores);
        lean(here, start + j - <i32>row, h, table, tableStride, buckets, reach);
        soften(here, j == 0, headDim);
        gather<f32>(v + at, stride, here, headDim, scores);
      }
      end(out + row * row4 + column, headDim);
    }
  }
}

/**
 * One head of one row: positions `first` to length - 1, by blocks from the start of the page of `first`. kv: address of
 * the head's column in page 0's keys; half: bytes from a page's keys to its values.
 */
// @ts-ignore: decorator
@inline function pagedHead<T>(
  kv: usize, pages: usize, half: usize, stride: usize, first: i32, length: i32, headDim: i32, hasSink: bool,
  h: i32, table: usize, tableStride: i32, buckets: usize, reach: i32,
): void {
  const from = first & ~(PAGE_TOKENS - 1);
  // Positions before `first`, of its page: neither weighed nor read as values.
  let hidden = first - from;
  for (let j = from; j < length; j += BLOCK) {
    const here = min(BLOCK, length - j);
    for (let i = 0; i < here; i += PAGE_TOKENS) {
      const page = <usize>load<i32>(pages + (<usize>((j + i) >> 4) << 2));
      const at = kv + page * half * 2;
      score<T>(at, stride, min(PAGE_TOKENS, here - i), headDim, scores + (<usize>i << 2));
    }
    lean(here, j - length + 1, h, table, tableStride, buckets, reach);
    for (let i = 0; i < hidden; i++) store<f32>(scores + (<usize>i << 2), -Infinity);
    soften(here, j == from && !hasSink, headDim);
    for (let i = 0; i < here; i += PAGE_TOKENS) {
      const page = <usize>load<i32>(pages + (<usize>((j + i) >> 4) << 2));
      const at = kv + page * half * 2 + half + <usize>hidden * stride;
      const count = min(PAGE_TOKENS, here - i) - hidden;
      gather<T>(at, stride, count, headDim, scores + (<usize>(i + hidden) << 2));
      hidden = 0;
    }
  }
}

function paged<T>(
  q: usize, kv: usize, rows: usize, count: i32, pageTable: usize, pagesPerRow: i32, lengths: usize,
  headDim: i32, heads: i32, group: i32, window: i32, sinks: usize, scale: f32, scratch: usize, out: usize,
  table: usize, tableStride: i32, buckets: usize, reach: i32,
): void {
  const row4 = <usize>(heads * headDim) << 2;
  const stride = <usize>(heads / group * headDim) * sizeof<T>();
  const half = stride * PAGE_TOKENS;
  for (let m = 0; m < count; m++) {
    const row = <usize>load<i32>(rows + (<usize>m << 2));
    const pages = pageTable + row * <usize>pagesPerRow * 4;
    const length = load<i32>(lengths + (row << 2));
    const first = max(0, length - window);
    for (let h = 0; h < heads; h++) {
      const head = row * row4 + (<usize>(h * headDim) << 2);
      const column = <usize>(h / group * headDim) * sizeof<T>();
      begin(q + head, headDim, scale, scratch, sinks == 0 ? 0 : sinks + (<usize>h << 2));
      pagedHead<T>(
        kv + column, pages, half, stride, first, length, headDim, sinks != 0, h, table, tableStride, buckets, reach,
      );
      end(out + head, headDim);
    }
  }
}

/**
 * As above over pages: position i of row t lies in page pageTable[t, i / 16] at i % 16. A row sees its last `window`
 * positions; entries of its table for pages before those are not read. sinks f32 [heads], 0 for none.
 * kv: page p is [2, 16, heads / group * headDim], keys then values, f32 or f16 by `bits`; pageTable i32 [T, pagesPerRow];
 * lengths i32 [T].
 */
export function pagedAttention(
  q: usize, kv: usize, bits: i32, rows: usize, count: i32, pageTable: usize, pagesPerRow: i32, lengths: usize,
  headDim: i32, heads: i32, group: i32, window: i32, sinks: usize, scale: f32, scratch: usize, out: usize,
  table: usize, tableStride: i32, buckets: usize, reach: i32,
): void {
  if (bits == 32) {
    paged<f32>(
      q, kv, rows, count, pageTable, pagesPerRow, lengths, headDim, heads, group, window, sinks, scale, scratch, out,
      table, tableStride, buckets, reach,
    );
  } else {
    paged<i16>(
      q, kv, rows, count, pageTable, pagesPerRow, lengths, headDim, heads, group, window, sinks, scale, scratch, out,
      table, tableStride, buckets, reach,
    );
  }
}
