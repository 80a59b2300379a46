// Log-softmax over the vocabulary and the best candidates, fed by tiles of logits.
//
// State of a row: f64 sum of exp(logit - max), f32 max, i32 number of candidates held (16 bytes).
import { exp1, exp4, max4, sum } from "./simd";

/** Starts `count` rows: no candidates, ids -1. state 16 bytes a row; values f32 and ids i32 [count, candidates]. */
export function vocabBegin(
  state: usize, count: i32, candidates: i32, values: usize, ids: usize,
): void {
  for (let m = 0; m < count; m++) {
    const at = state + (<usize>m << 4);
    store<f64>(at, 0);
    store<f32>(at + 8, -Infinity);
    store<i32>(at + 12, 0);
  }
  for (let i = 0; i < count * candidates; i++) {
    store<f32>(values + (<usize>i << 2), -Infinity);
    store<i32>(ids + (<usize>i << 2), -1);
  }
}

/** Puts one logit among a row's candidates, best first; an equal one of lower id stays before it. */
function insert(value: f32, id: i32, held: i32, candidates: i32, values: usize, ids: usize): void {
  let i = min(held, candidates - 1);
  while (i > 0 && value > load<f32>(values + (<usize>(i - 1) << 2))) {
    store<f32>(values + (<usize>i << 2), load<f32>(values + (<usize>(i - 1) << 2)));
    store<i32>(ids + (<usize>i << 2), load<i32>(ids + (<usize>(i - 1) << 2)));
    i--;
  }
  store<f32>(values + (<usize>i << 2), value);
  store<i32>(ids + (<usize>i << 2), id);
}

/** Adds a tile: logits f32 [count, stride] of the ids first .. first + n - 1; stride is a multiple of 4, at least n. */
export function vocabTile(
  logits: usize, stride: i32, count: i32, first: i32, n: i32, state: usize, candidates: i32,
  values: usize, ids: usize,
): void {
  const padded = (n + 3) & ~3;
  for (let m = 0; m < count; m++) {
    const from = logits + <usize>(m * stride) * 4;
    const at = state + (<usize>m << 4);
    for (let i = n; i < padded; i++) store<f32>(from + (<usize>i << 2), -Infinity);
    let top = v128.load(from);
    for (let i = 4; i < padded; i += 4) top = f32x4.max(top, v128.load(from + (<usize>i << 2)));
    const before = load<f32>(at + 8);
    const highest = max<f32>(before, max4(top));
    const base = f32x4.splat(highest);
    let total = f32x4.splat(0);
    for (let i = 0; i < padded; i += 4) {
      total = f32x4.add(total, exp4(f32x4.sub(v128.load(from + (<usize>i << 2)), base)));
    }
    store<f64>(at, load<f64>(at) * <f64>exp1(before - highest) + <f64>sum(total));
    store<f32>(at + 8, highest);
    const row = <usize>(m * candidates) << 2;
    pick(from, padded, n, first, at + 12, candidates, values + row, ids + row);
  }
}

function pick(
  from: usize, padded: i32, n: i32, first: i32, counter: usize, candidates: i32, values: usize,
  ids: usize,
): void {
  let held = load<i32>(counter);
  const last = values + (<usize>(candidates - 1) << 2);
  for (let i = 0; i < padded; i += 4) {
    const four = v128.load(from + (<usize>i << 2));
    if (held == candidates && !v128.any_true(f32x4.gt(four, v128.load32_splat(last)))) continue;
    for (let j = i; j < min(i + 4, n); j++) {
      const value = load<f32>(from + (<usize>j << 2));
      if (held == candidates && !(value > load<f32>(last))) continue;
      insert(value, first + j, held, candidates, values, ids);
      if (held < candidates) held++;
    }
  }
  store<i32>(counter, held);
}

/** Candidates to their places: row m goes to rows[m]; log probability = value - max - log(sum). */
export function vocabEnd(
  state: usize, count: i32, rows: usize, candidates: i32, values: usize, ids: usize, outIds: usize,
  outLogProbs: usize,
): void {
  for (let m = 0; m < count; m++) {
    const at = state + (<usize>m << 4);
    const logSum = Math.log(load<f64>(at)) + <f64>load<f32>(at + 8);
    const to = <usize>load<i32>(rows + (<usize>m << 2)) * <usize>candidates * 4;
    const from = <usize>(m * candidates) << 2;
    for (let i: usize = 0; i < <usize>candidates << 2; i += 4) {
      store<i32>(outIds + to + i, load<i32>(ids + from + i));
      store<f32>(outLogProbs + to + i, <f32>(<f64>load<f32>(values + from + i) - logSum));
    }
  }
}
