// Rows of activations in the rotated basis of src/base/rotation.ts: signs by column, then a Hadamard transform of each
// block. A row's operations have one order, whatever other rows are in the call.
import { loadLanes } from "./simd";

/** Signs of four columns from `c` on, as sign bits to be xored. */
// @ts-ignore: decorator
@inline function signs(c: i32): v128 {
  let h = i32x4.mul(i32x4.add(i32x4.splat(c), i32x4(1, 2, 3, 4)), i32x4.splat(0x9e3779b1));
  h = v128.xor(h, i32x4.shr_u(h, 15));
  h = i32x4.mul(h, i32x4.splat(0x85ebca77));
  h = v128.xor(h, i32x4.shr_u(h, 13));
  return i32x4.shl(h, 31);
}

/** Sums and differences of neighbours `stride` floats apart. */
function butterflies(row: usize, k: i32, stride: i32): void {
  const apart = <usize>stride << 2, end = row + (<usize>k << 2);
  for (let from = row; from < end; from += apart * 2) {
    if (stride < 4) {
      for (let at = from; at < from + apart; at += 4) {
        const a = load<f32>(at), b = load<f32>(at + apart);
        store<f32>(at, a + b);
        store<f32>(at + apart, a - b);
      }
      continue;
    }
    for (let at = from; at < from + apart; at += 16) {
      const a = v128.load(at), b = v128.load(at + apart);
      v128.store(at, f32x4.add(a, b));
      v128.store(at + apart, f32x4.sub(a, b));
    }
  }
}

/**
 * xs[m] = rotate(x[rows[m]]), zeros of either sign from column k to kPadded. x f32 [*, k]; rows i32 [count]; xs f32 [count, kPadded],
 * kPadded a multiple of 4; block: the power of two that rotationBlock(k) gives.
 */
export function rotate(
  x: usize, rows: usize, count: i32, k: i32, kPadded: i32, block: i32, xs: usize,
): void {
  const norm = f32x4.splat(1 / Mathf.sqrt(<f32>block));
  for (let m = 0; m < count; m++) {
    const from = x + <usize>load<i32>(rows + (<usize>m << 2)) * <usize>k * 4;
    for (let c = 0; c < kPadded; c += 4) {
      const at = from + (<usize>c << 2), left = k - c;
      const v = left >= 4 ? v128.load(at) : left > 0 ? loadLanes(at, left, 0) : f32x4.splat(0);
      v128.store(xs + (<usize>c << 2), v128.xor(f32x4.mul(v, norm), signs(c)));
    }
    for (let stride = 1; stride < block; stride <<= 1) butterflies(xs, k, stride);
    xs += <usize>kPadded << 2;
  }
}
