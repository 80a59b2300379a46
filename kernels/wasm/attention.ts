// Attention of one query row over keys and values, segments (encoder) or pages (decoder).
//
// Keys are taken in blocks of 256 positions from the row's own first one, with a running maximum and sum, so a
// result depends on the row's own positions and not on whoever is in the call. Softmax and sums are f32.
// Keys and values are f32, or halves as i16: T in what follows.
import { exp1, exp4, finiteHalves, madd, max4, sum, sums4, toHalves } from "./simd";

const BLOCK = 256;
const PAGE_TOKENS = 16;

// Where one head's work in progress lies in scratch: scores f32 [256], scaled query and result f32 [headDim].
let scores: usize = 0;
let query: usize = 0;
let result: usize = 0;
let runningMax: f32 = 0;
let runningSum: f32 = 0;

/** Four elements as f32. */
// @ts-ignore: decorator
@inline function four<T>(at: usize): v128 {
  if (isFloat<T>()) return v128.load(at);
  return finiteHalves(v128.load16x4_s(at));
}

/** One element as f32. */
// @ts-ignore: decorator
@inline function one<T>(at: usize): f32 {
  if (isFloat<T>()) return load<f32>(at);
  return f32x4.extract_lane(finiteHalves(i32x4.splat(load<i16>(at))), 0);
}

/** What the channels past the last four give to the dot product of `query` with one key. */
// @ts-ignore: decorator
@inline function tail<T>(key: usize, headDim: i32): f32 {
  let s: f32 = 0;
  for (let c = headDim & ~3; c < headDim; c++) {
    s += load<f32>(query + (<usize>c << 2)) * one<T>(key + <usize>c * sizeof<T>());
  }
  return s;
}

/** scores[to + j] = query . keys[j] for `count` keys `stride` bytes apart. */
function score<T>(keys: usize, stride: usize, count: i32, headDim: i32, to: usize): void {
  const whole = headDim & ~3;
  for (let j = 0; j < count; j += 4) {
    const k0 = keys + <usize>j * stride;
    const k1 = j + 1 < count ? k0 + stride : k0;
    const k2 = j + 2 < count ? k1 + stride : k0;
    const k3 = j + 3 < count ? k2 + stride : k0;
    let a = f32x4.splat(0), b = a, c = a, d = a;
    for (let i: usize = 0; i < <usize>whole; i += 4) {
      const q = v128.load(query + (i << 2)), at = i * sizeof<T>();
      a = madd(four<T>(k0 + at), q, a);
      b = madd(four<T>(k1 + at), q, b);
      c = madd(four<T>(k2 + at), q, c);
      d = madd(four<T>(k3 + at), q, d);
    }
    let s = sums4(a, b, c, d);
    if (whole != headDim) {
      const t = f32x4(0, 0, 0, 0);
      s = f32x4.add(s, f32x4.replace_lane(
        f32x4.replace_lane(
          f32x4.replace_lane(f32x4.replace_lane(t, 0, tail<T>(k0, headDim)), 1, tail<T>(k1, headDim)),
          2,
          tail<T>(k2, headDim),
        ),
        3,
        tail<T>(k3, headDim),
      ));
    }
    // Scores past `count` are overwritten: by the next run or by the padding of `soften`.
    v128.store(to + (<usize>j << 2), s);
  }
}

/**
 * scores[j] += table[bucket of (distance + j), h] for `count` scores; `distance` is the first key's position less
 * the query's. table f32 rows of `tableStride` bytes; buckets i32 [2 * reach + 1]. No table, no bias.
 */
// @ts-ignore: decorator
@inline function lean(
  count: i32, distance: i32, h: i32, table: usize, tableStride: i32, buckets: usize, reach: i32,
): void {
  if (table == 0) return;
  const column = table + (<usize>h << 2);
  for (let j = 0; j < count; j++) {
    const near = max(-reach, min(reach, distance + j));
    const bucket = load<i32>(buckets + (<usize>(near + reach) << 2));
    const at = scores + (<usize>j << 2);
    store<f32>(at, load<f32>(at) + load<f32>(column + <usize>bucket * <usize>tableStride));
  }
}

/** Turns `count` scores into weights against the running maximum, and rescales what came before. */
function soften(count: i32, first: bool, headDim: i32): void {
  const padded = (count + 3) & ~3;
  for (let j = count; j < padded; j++) store<f32>(scores + (<usize>j << 2), -Infinity);
  let top = v128.load(scores);
  for (let j = 4; j < padded; j += 4) top = f32x4.max(top, v128.load(scores + (<usize>j << 2)));
  const highest = first ? max4(top) : max(runningMax, max4(top));
  if (!first && highest != runningMax) {
    const shrink = exp1(runningMax - highest);
    runningSum *= shrink;
    for (let i = 0; i < headDim; i++) {
      const at = result + (<usize>i << 2);
      store<f32>(at, load<f32>(at) * shrink);
    }
  }
  const base = f32x4.splat(highest);
  let total = f32x4.splat(0);
  for (let j = 0; j < padded; j += 4) {
    const at = scores + (<usize>j << 2);
    const p = exp4(f32x4.sub(v128.load(at), base));
    v128.store(at, p);
    total = f32x4.add(total, p);
  }
  runningSum += sum(total);
  runningMax = highest;
}

/** result += weights[from + j] * values[j], j in order, for `count` values `stride` bytes apart. */
function gather<T>(values: usize, stride: usize, count: i32, headDim: i32, from: usize): void {
  let i = 0;
  for (; i + 16 <= headDim; i += 16) {
    const to = result + (<usize>i << 2);
    let v = values + <usize>i * sizeof<T>();
    let a = v128.load(to), b = v128.load(to, 16), c = v128.load(to, 32), d = v128.load(to, 48);
    for (let j = 0; j < count; j++) {
      const p = v128.load32_splat(from + (<usize>j << 2));
      a = madd(four<T>(v), p, a);
      b = madd(four<T>(v + 4 * sizeof<T>()), p, b);
      c = madd(four<T>(v + 8 * sizeof<T>()), p, c);
      d = madd(four<T>(v + 12 * sizeof<T>()), p, d);
      v += stride;
    }
    v128.store(to, a), v128.store(to, b, 16), v128.store(to, c, 32), v128.store(to, d, 48);
  }
  for (; i + 4 <= headDim; i += 4) {
    const to = result + (<usize>i << 2);
    let v = values + <usize>i * sizeof<T>();
    let a = v128.load(to);
    for (let j = 0; j < count; j++) {
      a = madd(four<T>(v), v128.load32_splat(from + (<usize>j << 2)), a);
      v += stride;
    }
    v128.store(to, a);
  }
  for (; i < headDim; i++) {
    const to = result + (<usize>i << 2);
    let v = values + <usize>i * sizeof<T>();
    let a = load<f32>(to);
    for (let j = 0; j < count; j++) {
      a += one<T>(v) * load<f32>(from + (<usize>j << 2));
      v += stride;
    }
    store<f32>(to, a);
  }
}

function begin(q: usize, headDim: i32, scale: f32, scratch: usize): void {
  scores = scratch;
  query = scratch + BLOCK * 4;
  result = query + (<usize>(headDim + 3 & ~3) << 2);
  for (let i: usize = 0; i < <usize>headDim << 2; i += 4) {
    store<f32>(query + i, load<f32>(q + i) * scale);
    store<f32>(result + i, 0);
  }
  runningSum = 0;
  runningMax = 0;
}

function end(out: usize, headDim: i32): void {
  const share: f32 = <f32>1 / runningSum;
  for (let i: usize = 0; i < <usize>headDim << 2; i += 4) {
    store<f32>(out + i, load<f32>(result + i) * share);
  }
}

/**
 * out[t] = attention of q[t] over rows starts[t] .. starts[t] + lengths[t] - 1 of k and v, for every t in rows.
 * q, k, v, out f32 [*, dModel]; rows i32 [count]; starts, lengths i32 [T] by row; scratch f32 [256 + 2 headDim + 8].
 * Heads are outermost, so that one head's keys and values stay in cache while a segment's rows pass.
 */
export function segmentAttention(
  q: usize, k: usize, v: usize, rows: usize, count: i32, starts: usize, lengths: usize, dModel: i32,
  heads: i32, scale: f32, scratch: usize, out: usize,
  table: usize, tableStride: i32, buckets: usize, reach: i32,
): void {
  const headDim = dModel / heads;
  const stride = <usize>dModel << 2;
  for (let h = 0; h < heads; h++) {
    const column = <usize>(h * headDim) << 2;
    for (let m = 0; m < count; m++) {
      const row = <usize>load<i32>(rows + (<usize>m << 2));
      const start = load<i32>(starts + (row << 2));
      const base = <usize>start * stride + column;
      const length = load<i32>(lengths + (row << 2));
      begin(q + row * stride + column, headDim, scale, scratch);
      for (let j = 0; j < length; j += BLOCK) {
        const here = min(BLOCK, length - j);
        const at = base + <usize>j * stride;
        score<f32>(k + at, stride, here, headDim, scores);
        lean(here, start + j - <i32>row, h, table, tableStride, buckets, reach);
        soften(here, j == 0, headDim);
        gather<f32>(v + at, stride, here, headDim, scores);
      }
      end(out + row * stride + column, headDim);
    }
  }
}

function paged<T>(
  q: usize, kv: usize, rows: usize, count: i32, pageTable: usize, pagesPerRow: i32, lengths: usize,
  dModel: i32, heads: i32, scale: f32, scratch: usize, out: usize,
  table: usize, tableStride: i32, buckets: usize, reach: i32,
): void {
  const headDim = dModel / heads;
  const row4 = <usize>dModel << 2;
  const stride = <usize>dModel * sizeof<T>();
  const half = stride * PAGE_TOKENS;
  for (let m = 0; m < count; m++) {
    const row = <usize>load<i32>(rows + (<usize>m << 2));
    const pages = pageTable + row * <usize>pagesPerRow * 4;
    const length = load<i32>(lengths + (row << 2));
    for (let h = 0; h < heads; h++) {
      const head = <usize>(h * headDim);
      const column = head * sizeof<T>();
      begin(q + row * row4 + (head << 2), headDim, scale, scratch);
      for (let j = 0; j < length; j += BLOCK) {
        const here = min(BLOCK, length - j);
        for (let i = 0; i < here; i += PAGE_TOKENS) {
          const page = <usize>load<i32>(pages + (<usize>((j + i) >> 4) << 2));
          const at = kv + page * half * 2 + column;
          score<T>(at, stride, min(PAGE_TOKENS, here - i), headDim, scores + (<usize>i << 2));
        }
        lean(here, j - length + 1, h, table, tableStride, buckets, reach);
        soften(here, j == 0, headDim);
        for (let i = 0; i < here; i += PAGE_TOKENS) {
          const page = <usize>load<i32>(pages + (<usize>((j + i) >> 4) << 2));
          const at = kv + page * half * 2 + half + column;
          gather<T>(at, stride, min(PAGE_TOKENS, here - i), headDim, scores + (<usize>i << 2));
        }
      }
      end(out + row * row4 + (head << 2), headDim);
    }
  }
}

/**
 * As above over pages: position i of row t lies in page pageTable[t, i / 16] at i % 16.
 * kv: page p is [2, 16, dModel], keys then values, f32 or f16 by `bits`; pageTable i32 [T, pagesPerRow]; lengths i32 [T].
 */
export function pagedAttention(
  q: usize, kv: usize, bits: i32, rows: usize, count: i32, pageTable: usize, pagesPerRow: i32, lengths: usize,
  dModel: i32, heads: i32, scale: f32, scratch: usize, out: usize,
  table: usize, tableStride: i32, buckets: usize, reach: i32,
): void {
  if (bits == 32) {
    paged<f32>(
      q, kv, rows, count, pageTable, pagesPerRow, lengths, dModel, heads, scale, scratch, out, table, tableStride,
      buckets, reach,
    );
  } else {
    paged<i16>(
      q, kv, rows, count, pageTable, pagesPerRow, lengths, dModel, heads, scale, scratch, out, table, tableStride,
      buckets, reach,
    );
  }
}

/** `count` floats as halves. */
function storeHalves(to: usize, from: usize, count: i32): void {
  let c = 0;
  for (; c + 4 <= count; c += 4) {
    v128.store64_lane(to + (<usize>c << 1), toHalves(v128.load(from + (<usize>c << 2))), 0);
  }
  for (; c < count; c++) {
    const h = toHalves(f32x4.splat(load<f32>(from + (<usize>c << 2))));
    store<u16>(to + (<usize>c << 1), <u16>i16x8.extract_lane_u(h, 0));
  }
}

/** Row t of k and v to place places[t] = page * 16 + position; a negative place writes nothing. kv as above. */
export function storeKv(
  k: usize, v: usize, rows: usize, count: i32, places: usize, dModel: i32, kv: usize, bits: i32,
): void {
  const row4 = <usize>dModel << 2;
  const stride = <usize>dModel * <usize>(bits >> 3);
  const half = stride * PAGE_TOKENS;
  for (let m = 0; m < count; m++) {
    const row = <usize>load<i32>(rows + (<usize>m << 2));
    const place = load<i32>(places + (row << 2));
    if (place < 0) continue;
    const to = kv + <usize>(place >> 4) * half * 2 + <usize>(place & 15) * stride;
    if (bits == 32) {
      memory.copy(to, k + row * row4, row4);
      memory.copy(to + half, v + row * row4, row4);
    } else {
      storeHalves(to, k + row * row4, dModel);
      storeHalves(to + half, v + row * row4, dModel);
    }
  }
}
