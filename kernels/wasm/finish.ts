// The end of a product: bias, activation and residual, for four neighbouring outputs of one row.
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
