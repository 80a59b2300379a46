// The choice of experts from router logits, and the sum of what they gave.
import { exp4, sum } from "./simd";

/**
 * The next best logit's index: the lowest of equal ones. Logits that were chosen before are NaN, which is never
 * greater; where all are, `from` on has the lowest index that was not chosen.
 */
// @ts-ignore: decorator
@inline function best(logits: usize, n: i32, from: i32): i32 {
  let found = from;
  for (let i = 0; i < n; i++) {
    if (load<f32>(logits + (<usize>i << 2)) > load<f32>(logits + (<usize>found << 2))) found = i;
  }
  return found;
}

/** Whether `i` is among the first `count` of ids. */
// @ts-ignore: decorator
@inline function chosen(ids: usize, count: i32, i: i32): bool {
  for (let r = 0; r < count; r++) {
    if (load<i32>(ids + (<usize>r << 2)) == i) return true;
  }
  return false;
}

/**
 * ids i32 [topK]: the topK best of n logits, best first. values f32 [topK] keeps the logits themselves, which are NaN
 * while the choice is made. NaN logits choose experts 0, 1, ..., so that an index is always valid.
 */
function rank(logits: usize, n: i32, topK: i32, ids: usize, values: usize): void {
  for (let r = 0, lowest = 0; r < topK; r++) {
    while (chosen(ids, r, lowest)) lowest++;
    const i = best(logits, n, lowest);
    const at = logits + (<usize>i << 2);
    store<i32>(ids + (<usize>r << 2), i);
    store<f32>(values + (<usize>r << 2), load<f32>(at));
    store<f32>(at, NaN);
  }
  for (let r: usize = 0; r < <usize>topK << 2; r += 4) {
    store<f32>(logits + (<usize>load<i32>(ids + r) << 2), load<f32>(values + r));
  }
}

/**
 * Softmax over a row's logits and its topK best experts; equal logits go to the lower index.
 * logits f32 [count, stride], stride a multiple of 4, -Infinity or free beyond `n`, which is at least topK;
 * rows i32 [count]; experts i32 [*, topK]; weights f32 [*, topK]: where `share` is 1 divided by the sum over the
 * chosen, in rank order, else probabilities.
 */
export function choose(
  logits: usize, count: i32, n: i32, stride: i32, rows: usize, topK: i32, share: i32, experts: usize,
  weights: usize,
): void {
  const padded = (n + 3) & ~3;
  for (let m = 0; m < count; m++) {
    const from = logits + <usize>(m * stride) * 4;
    for (let i = n; i < padded; i++) store<f32>(from + (<usize>i << 2), -Infinity);
    const at = <usize>(load<i32>(rows + (<usize>m << 2)) * topK) << 2;
    const ids = experts + at, shares = weights + at, end = <usize>topK << 2;
    rank(from, n, topK, ids, shares);
    const top = v128.load32_splat(shares);
    let total = f32x4.splat(0);
    for (let i = 0; i < padded; i += 4) {
      const at = from + (<usize>i << 2);
      const p = exp4(f32x4.sub(v128.load(at), top));
      v128.store(at, p);
      total = f32x4.add(total, p);
    }
    const whole: f32 = sum(total);
    let all: f32 = 0;
    for (let r: usize = 0; r < end; r += 4) {
      const p: f32 = load<f32>(from + (<usize>load<i32>(ids + r) << 2)) / whole;
      store<f32>(shares + r, p);
      all += p;
    }
    if (share == 0) continue;
    for (let r: usize = 0; r < end; r += 4) store<f32>(shares + r, load<f32>(shares + r) / all);
  }
}

/**
 * out[t] = residual[t] + scale * sum over rank, in rank order, of weights[t, rank] * expertOut[t, rank].
 * expertOut f32 [*, topK, d]; weights f32 [*, topK]; residual, out f32 [*, d] (out may be residual).
 */
export function combine(
  expertOut: usize, weights: usize, topK: i32, scale: f32, residual: usize, rows: usize, count: i32,
  d: i32, out: usize,
): void {
  const bytes = <usize>d << 2, end = <usize>topK << 2;
  const s = f32x4.splat(scale);
  for (let m = 0; m < count; m++) {
    const t = <usize>load<i32>(rows + (<usize>m << 2));
    const ranks = expertOut + t * <usize>topK * bytes, shares = weights + t * end;
    const from = residual + t * bytes, to = out + t * bytes;
    const first = v128.load32_splat(shares);
    let i: usize = 0;
    for (; i + 64 <= bytes; i += 64) {
      let at = ranks + i;
      let a = f32x4.mul(first, v128.load(at)), b = f32x4.mul(first, v128.load(at, 16));
      let c = f32x4.mul(first, v128.load(at, 32)), e = f32x4.mul(first, v128.load(at, 48));
      for (let r: usize = 4; r < end; r += 4) {
        const w = v128.load32_splat(shares + r);
        at += bytes;
        a = f32x4.add(a, f32x4.mul(w, v128.load(at))), b = f32x4.add(b, f32x4.mul(w, v128.load(at, 16)));
        c = f32x4.add(c, f32x4.mul(w, v128.load(at, 32))), e = f32x4.add(e, f32x4.mul(w, v128.load(at, 48)));
      }
      v128.store(to + i, f32x4.add(v128.load(from + i), f32x4.mul(s, a)));
      v128.store(to + i, f32x4.add(v128.load(from + i, 16), f32x4.mul(s, b)), 16);
      v128.store(to + i, f32x4.add(v128.load(from + i, 32), f32x4.mul(s, c)), 32);
      v128.store(to + i, f32x4.add(v128.load(from + i, 48), f32x4.mul(s, e)), 48);
    }
    for (; i < bytes; i += 4) {
      let at = ranks + i;
      let y: f32 = load<f32>(shares) * load<f32>(at);
      for (let r: usize = 4; r < end; r += 4) {
        at += bytes;
        y += load<f32>(shares + r) * load<f32>(at);
      }
      store<f32>(to + i, load<f32>(from + i) + scale * y);
    }
  }
}
