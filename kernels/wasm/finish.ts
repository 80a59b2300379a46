// The end of a product: bias, activation and residual, for four outputs of one row.
import { loadLanes, storeLanes } from "./simd";

/**
 * out[n..n+3] = act(sums + bias[n..]) + residual[n..]; `left` outputs exist. bias and residual are 0 where absent.
 * relu: 0 none, 1 as above, 2 of everything: act(sums + bias[n..] + residual[n..]).
 */
// @ts-ignore: decorator
@inline export function finish(
  sums: v128, n: i32, left: i32, bias: usize, relu: i32, residual: usize, out: usize,
): void {
  const at = <usize>n << 2;
  let v = sums;
  if (left >= 4) {
    if (bias != 0) v = f32x4.add(v, v128.load(bias + at));
    if (relu == 1) v = f32x4.max(v, f32x4.splat(0));
    if (residual != 0) v = f32x4.add(v, v128.load(residual + at));
    if (relu == 2) v = f32x4.max(v, f32x4.splat(0));
    v128.store(out + at, v);
  } else {
    if (bias != 0) v = f32x4.add(v, loadLanes(bias + at, left, 0));
    if (relu == 1) v = f32x4.max(v, f32x4.splat(0));
    if (residual != 0) v = f32x4.add(v, loadLanes(residual + at, left, 0));
    if (relu == 2) v = f32x4.max(v, f32x4.splat(0));
    storeLanes(out + at, v, left);
  }
}

/** As `finish` for outputs n, n + apart, n + 2 * apart, n + 3 * apart of which those below `end` exist. */
// @ts-ignore: decorator
@inline export function finishApart(
  sums: v128, n: i32, apart: i32, end: i32, bias: usize, relu: i32, residual: usize, out: usize,
): void {
  finishOne(f32x4.extract_lane(sums, 0), n, end, bias, relu, residual, out);
  finishOne(f32x4.extract_lane(sums, 1), n + apart, end, bias, relu, residual, out);
  finishOne(f32x4.extract_lane(sums, 2), n + 2 * apart, end, bias, relu, residual, out);
  finishOne(f32x4.extract_lane(sums, 3), n + 3 * apart, end, bias, relu, residual, out);
}

// @ts-ignore: decorator
@inline function finishOne(
  sum: f32, n: i32, end: i32, bias: usize, relu: i32, residual: usize, out: usize,
): void {
  if (n >= end) return;
  const at = <usize>n << 2;
  let v = sum;
  if (bias != 0) v += load<f32>(bias + at);
  if (relu == 1) v = max<f32>(v, 0);
  if (residual != 0) v += load<f32>(residual + at);
  if (relu == 2) v = max<f32>(v, 0);
  store<f32>(out + at, v);
}
