// Norms, a row at a time.
// Layer norm: out = (x - mean) / sqrt(variance + epsilon) * weight + bias, in two passes.
// RMS norm: out = x / sqrt(mean of squares + epsilon) * weight * scale.
import { loadLanes, madd, storeLanes, sum } from "./simd";

/** x, out f32 [*, d] (out may be x); rows i32 [count]; weight, bias f32 [d]. */
export function layerNorm(
  x: usize, rows: usize, count: i32, d: i32, weight: usize, bias: usize, epsilon: f32, out: usize,
): void {
  const whole = <usize>(d & ~3) << 2;
  const left = d & 3;
  for (let m = 0; m < count; m++) {
    const row = <usize>load<i32>(rows + (<usize>m << 2)) * <usize>d * 4;
    const from = x + row, to = out + row;
    let total = f32x4.splat(0);
    for (let i: usize = 0; i < whole; i += 16) total = f32x4.add(total, v128.load(from + i));
    if (left != 0) total = f32x4.add(total, loadLanes(from + whole, left, 0));
    const mean: f32 = sum(total) / <f32>d;
    const middle = f32x4.splat(mean);
    let squares = f32x4.splat(0);
    for (let i: usize = 0; i < whole; i += 16) {
      const c = f32x4.sub(v128.load(from + i), middle);
      squares = madd(c, c, squares);
    }
    if (left != 0) {
      const c = f32x4.sub(loadLanes(from + whole, left, mean), middle);
      squares = madd(c, c, squares);
    }
    const factor = f32x4.splat(<f32>1 / sqrt<f32>(sum(squares) / <f32>d + epsilon));
    for (let i: usize = 0; i < whole; i += 16) {
      const c = f32x4.mul(f32x4.sub(v128.load(from + i), middle), factor);
      v128.store(to + i, f32x4.add(f32x4.mul(c, v128.load(weight + i)), v128.load(bias + i)));
    }
    if (left != 0) {
      const c = f32x4.mul(f32x4.sub(loadLanes(from + whole, left, 0), middle), factor);
      const w = loadLanes(weight + whole, left, 0), b = loadLanes(bias + whole, left, 0);
      storeLanes(to + whole, f32x4.add(f32x4.mul(c, w), b), left);
    }
  }
}

/** One row of RMS norm. from, to f32 [d] (to may be from); weight f32 [d]. */
// @ts-ignore: decorator
@inline export function rmsRow(
  from: usize, d: i32, weight: usize, epsilon: f32, scale: f32, to: usize,
): void {
  const whole = <usize>(d & ~3) << 2;
  const left = d & 3;
  let squares = f32x4.splat(0);
  for (let i: usize = 0; i < whole; i += 16) {
    const c = v128.load(from + i);
    squares = madd(c, c, squares);
  }
  if (left != 0) {
    const c = loadLanes(from + whole, left, 0);
    squares = madd(c, c, squares);
  }
  const factor = f32x4.splat(scale / sqrt<f32>(sum(squares) / <f32>d + epsilon));
  for (let i: usize = 0; i < whole; i += 16) {
    v128.store(to + i, f32x4.mul(f32x4.mul(v128.load(from + i), factor), v128.load(weight + i)));
  }
  if (left != 0) {
    const c = f32x4.mul(loadLanes(from + whole, left, 0), factor);
    storeLanes(to + whole, f32x4.mul(c, loadLanes(weight + whole, left, 0)), left);
  }
}

/** x, out f32 [*, d] (out may be x); rows i32 [count]; weight f32 [d]. */
export function rmsNorm(
  x: usize, rows: usize, count: i32, d: i32, weight: usize, epsilon: f32, scale: f32, out: usize,
): void {
  for (let m = 0; m < count; m++) {
    const row = <usize>load<i32>(rows + (<usize>m << 2)) * <usize>d * 4;
    rmsRow(x + row, d, weight, epsilon, scale, out + row);
  }
}
