// The choice of experts from router logits, and the sum of what they gave.
import { exp4, loadLanes, madd, max4, storeLanes, sum } from "./simd";

/**
 * Softmax over a row's logits and its topK (1 or 2) best experts; equal logits go to the lower index.
 * logits f32 [count, stride], stride a multiple of 4, -Infinity or free beyond `n`; rows i32 [count];
 * experts i32 [*, topK]; weights f32 [*, topK]: shares of the chosen where `share` is 1, else probabilities.
 */
export function choose(
  logits: usize, count: i32, n: i32, stride: i32, rows: usize, topK: i32, share: i32, experts: usize,
  weights: usize,
): void {
  const padded = (n + 3) & ~3;
  for (let m = 0; m < count; m++) {
    const from = logits + <usize>(m * stride) * 4;
    for (let i = n; i < padded; i++) store<f32>(from + (<usize>i << 2), -Infinity);
    // NaN logits choose experts 0 and 1, so that an index is always valid.
    let first = 0;
    for (let i = 1; i < n; i++) {
      if (load<f32>(from + (<usize>i << 2)) > load<f32>(from + (<usize>first << 2))) first = i;
    }
    let second = first == 0 && n > 1 ? 1 : 0;
    for (let i = 0; i < n; i++) {
      if (i == first) continue;
      if (load<f32>(from + (<usize>i << 2)) > load<f32>(from + (<usize>second << 2))) second = i;
    }
    const top = f32x4.splat(load<f32>(from + (<usize>first << 2)));
    let total = f32x4.splat(0);
    for (let i = 0; i < padded; i += 4) {
      const at = from + (<usize>i << 2);
      const p = exp4(f32x4.sub(v128.load(at), top));
      v128.store(at, p);
      total = f32x4.add(total, p);
    }
    const whole: f32 = sum(total);
    const p1: f32 = load<f32>(from + (<usize>first << 2)) / whole;
    const p2: f32 = load<f32>(from + (<usize>second << 2)) / whole;
    const chosen: f32 = topK == 2 ? p1 + p2 : p1;
    const at = <usize>(load<i32>(rows + (<usize>m << 2)) * topK) << 2;
    store<i32>(experts + at, first);
    store<f32>(weights + at, share != 0 ? p1 / chosen : p1);
    if (topK == 2) {
      store<i32>(experts + at + 4, second);
      store<f32>(weights + at + 4, share != 0 ? p2 / chosen : p2);
    }
  }
}

/**
 * out[t] = residual[t] + scale * (weights[t, 0] * expertOut[t, 0] + weights[t, 1] * expertOut[t, 1]).
 * expertOut f32 [*, topK, d]; weights f32 [*, topK]; residual, out f32 [*, d] (out may be residual).
 */
export function combine(
  expertOut: usize, weights: usize, topK: i32, scale: f32, residual: usize, rows: usize, count: i32,
  d: i32, out: usize,
): void {
  const bytes = <usize>d << 2;
  for (let m = 0; m < count; m++) {
    const t = <usize>load<i32>(rows + (<usize>m << 2));
    const a = expertOut + t * <usize>topK * bytes;
    const b = topK == 2 ? a + bytes : a;
    const wp = weights + ((t * <usize>topK) << 2);
    const wa = f32x4.splat(load<f32>(wp));
    const wb = f32x4.splat(topK == 2 ? load<f32>(wp + 4) : 0);
    const from = residual + t * bytes, to = out + t * bytes;
    const s = f32x4.splat(scale);
    for (let i: usize = 0; i < bytes; i += 16) {
      const left = <i32>((bytes - i) >> 2);
      if (left >= 4) {
        let y = f32x4.mul(wa, v128.load(a + i));
        if (topK == 2) y = f32x4.add(y, f32x4.mul(wb, v128.load(b + i)));
        v128.store(to + i, f32x4.add(v128.load(from + i), f32x4.mul(s, y)));
      } else {
        let y = f32x4.mul(wa, loadLanes(a + i, left, 0));
        if (topK == 2) y = f32x4.add(y, f32x4.mul(wb, loadLanes(b + i, left, 0)));
        storeLanes(to + i, f32x4.add(loadLanes(from + i, left, 0), f32x4.mul(s, y)), left);
      }
    }
  }
}
