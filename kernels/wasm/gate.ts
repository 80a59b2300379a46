// Gating: a hidden layer of two halves becomes one of half the width.
import { exp4, loadLanes, storeLanes } from "./simd";

/** x * sigmoid(a x) of four lanes; finite for every finite x, since exp is taken of what is not positive. */
// @ts-ignore: decorator
@inline function swish(x: v128, a: v128): v128 {
  const z = f32x4.mul(x, a), one = f32x4.splat(1);
  const e = exp4(f32x4.neg(f32x4.abs(z)));
  const share = v128.bitselect(e, one, f32x4.lt(z, f32x4.splat(0)));
  return f32x4.div(f32x4.mul(x, share), f32x4.add(one, e));
}

/** g and u to g * sigmoid(g) * u, or where `clamped` to the gating of gpt-oss. */
// @ts-ignore: decorator
@inline function gated(g: v128, u: v128, clamped: bool): v128 {
  if (!clamped) return f32x4.mul(swish(g, f32x4.splat(1)), u);
  const limit = f32x4.splat(7);
  const gate = f32x4.min(g, limit);
  const up = f32x4.max(f32x4.min(u, limit), f32x4.neg(limit));
  return f32x4.mul(swish(gate, f32x4.splat(1.702)), f32x4.add(up, f32x4.splat(1)));
}

/**
 * out[t] = gated(first half of x[t], second half of x[t]) for t in rows. x f32 [*, 2 * width]; out f32 [*, width];
 * rows i32 [count], ascending. out may be x, whose rows then move up: each goes where none that is left is read.
 */
export function gate(x: usize, rows: usize, count: i32, width: i32, clamped: bool, out: usize): void {
  const bytes = <usize>width << 2, whole = <usize>(width & ~3) << 2;
  const left = width & 3;
  for (let m = 0; m < count; m++) {
    const row = <usize>load<i32>(rows + (<usize>m << 2));
    const from = x + row * bytes * 2, second = from + bytes, to = out + row * bytes;
    for (let i: usize = 0; i < whole; i += 16) {
      v128.store(to + i, gated(v128.load(from + i), v128.load(second + i), clamped));
    }
    if (left != 0) {
      const g = loadLanes(from + whole, left, 0), u = loadLanes(second + whole, left, 0);
      storeLanes(to + whole, gated(g, u, clamped), left);
    }
  }
}
