// What attention does with one head of one query row: scores of a block of positions, their weights against a running
// maximum and sum, and the weighted values. Softmax and sums are f32. Keys and values are f32, or halves as i16: T.
import { exp1, exp4, finiteHalves, madd, max4, sum, sums4 } from "./simd";

/** Positions that are weighed at once. */
export const BLOCK = 256;

// Where one head's work in progress lies in scratch: scores f32 [256], scaled query and result f32 [headDim].
export let scores: usize = 0;
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
export function score<T>(keys: usize, stride: usize, count: i32, headDim: i32, to: usize): void {
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
@inline export function lean(
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
export function soften(count: i32, first: bool, headDim: i32): void {
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
export function gather<T>(values: usize, stride: usize, count: i32, headDim: i32, from: usize): void {
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

/** Starts a head. sink: address of one more logit, whose weight no value takes; 0 where there is none. */
export function begin(q: usize, headDim: i32, scale: f32, scratch: usize, sink: usize): void {
  scores = scratch;
  query = scratch + BLOCK * 4;
  result = query + (<usize>(headDim + 3 & ~3) << 2);
  for (let i: usize = 0; i < <usize>headDim << 2; i += 4) {
    store<f32>(query + i, load<f32>(q + i) * scale);
    store<f32>(result + i, 0);
  }
  runningSum = sink == 0 ? 0 : 1;
  runningMax = sink == 0 ? 0 : load<f32>(sink);
}

export function end(out: usize, headDim: i32): void {
  const share: f32 = <f32>1 / runningSum;
  for (let i: usize = 0; i < <usize>headDim << 2; i += 4) {
    store<f32>(out + i, load<f32>(result + i) * share);
  }
}
