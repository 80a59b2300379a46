// Bounds of activations.
import { loadLanes, storeLanes } from "./simd";

/** x[t] = min(limit, max(-limit, x[t])) for t in rows, in place; NaN stays NaN. x f32 [*, width]; rows i32 [count]. */
export function clamp(x: usize, rows: usize, count: i32, width: i32, limit: f32): void {
  const whole = <usize>(width & ~3) << 2;
  const left = width & 3;
  const high = f32x4.splat(limit), low = f32x4.splat(-limit);
  for (let m = 0; m < count; m++) {
    const at = x + <usize>load<i32>(rows + (<usize>m << 2)) * <usize>width * 4;
    for (let i: usize = 0; i < whole; i += 16) {
      v128.store(at + i, f32x4.min(high, f32x4.max(low, v128.load(at + i))));
    }
    if (left != 0) {
      const v = loadLanes(at + whole, left, 0);
      storeLanes(at + whole, f32x4.min(high, f32x4.max(low, v)), left);
    }
  }
}
