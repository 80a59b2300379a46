// One row of activations times a matrix of 3-bit codes: shapes and order of operations as in gemv2.ts.
//
// Of each block of 32 weights the even steps' codes go to one vector and the odd steps' to another, each high bit right
// above its code's low ones; from there a step is what it is at 2 bits.
import { mac, scaled, scalesOfFour } from "./codes";
import { MASKS_3, PARTS_3 } from "./constants";
import { finishApart } from "./finish";
import { sums4 } from "./simd";

/** Codes of steps 0, 2, 4, 6 at bits 4t; of steps 1, 3, 5, 7 two bits further. */
// @ts-ignore: decorator
@inline function even(low: v128, high: v128): v128 {
  return v128.or(v128.and(low, v128.load(PARTS_3)), v128.and(high, v128.load(PARTS_3, 16)));
}

// @ts-ignore: decorator
@inline function odd(low: v128, high: v128): v128 {
  return v128.or(v128.and(low, v128.load(PARTS_3, 32)), v128.and(high, v128.load(PARTS_3, 48)));
}

/** High bits of a block to two bits above its low ones. */
// @ts-ignore: decorator
@inline function raised(bits: v128, half: i32, second: i32): v128 {
  return second != 0 ? i32x4.shr_u(bits, 14 + half) : i32x4.shl(bits, 2 - half);
}

export function gemv3(
  w: usize, rowBytes: i32, n: i32, blocks: i32, groupMask: i32, scales: usize, groups: i32,
  scaleStep: i32, zero: f32, levels: usize, xs: usize, sums: usize, scratch: usize, bias: usize,
  relu: i32, residual: usize, out: usize,
): void {
  const stride = <usize>((groups + 3) & ~3) << 2;
  const minusZero = f32x4.splat(-zero);
  const quarter = (n + 3) >> 2;
  for (let r = 0; r < quarter; r++) {
    const p0 = w + <usize>r * rowBytes;
    const p1 = w + <usize>min(r + quarter, n - 1) * rowBytes;
    const p2 = w + <usize>min(r + 2 * quarter, n - 1) * rowBytes;
    const p3 = w + <usize>min(r + 3 * quarter, n - 1) * rowBytes;
    scalesOfFour(scales, groups, r, quarter, n - 1, scratch);
    let sc = scratch, xp = xs, sp = sums;
    let t0 = f32x4.splat(0), t1 = t0, t2 = t0, t3 = t0;
    let a0 = t0, a1 = t0, a2 = t0, a3 = t0;
    for (let b = 0; b < blocks; b++) {
      if ((b & groupMask) == 0) {
        a0 = f32x4.mul(v128.load(sp), minusZero);
        a1 = a0;
        a2 = a0;
        a3 = a0;
        sp += 16;
      }
      const unit = <usize>(b >> 2) * 48, half = b >> 1 & 1, second = b & 1;
      const at = unit + (<usize>half << 4), down = second << 4;
      let low = i32x4.shr_u(v128.load(p0 + at), down);
      let high = raised(v128.load(p0 + unit, 32), half, second);
      const e0 = even(low, high), o0 = odd(low, high);
      low = i32x4.shr_u(v128.load(p1 + at), down);
      high = raised(v128.load(p1 + unit, 32), half, second);
      const e1 = even(low, high), o1 = odd(low, high);
      low = i32x4.shr_u(v128.load(p2 + at), down);
      high = raised(v128.load(p2 + unit, 32), half, second);
      const e2 = even(low, high), o2 = odd(low, high);
      low = i32x4.shr_u(v128.load(p3 + at), down);
      high = raised(v128.load(p3 + unit, 32), half, second);
      const e3 = even(low, high), o3 = odd(low, high);
      let x = v128.load(xp), m = v128.load(MASKS_3);
      a0 = mac(e0, m, x, a0), a1 = mac(e1, m, x, a1), a2 = mac(e2, m, x, a2), a3 = mac(e3, m, x, a3);
      x = v128.load(xp, 16), m = v128.load(MASKS_3, 16);
      a0 = mac(o0, m, x, a0), a1 = mac(o1, m, x, a1), a2 = mac(o2, m, x, a2), a3 = mac(o3, m, x, a3);
      x = v128.load(xp, 32), m = v128.load(MASKS_3, 32);
      a0 = mac(e0, m, x, a0), a1 = mac(e1, m, x, a1), a2 = mac(e2, m, x, a2), a3 = mac(e3, m, x, a3);
      x = v128.load(xp, 48), m = v128.load(MASKS_3, 48);
      a0 = mac(o0, m, x, a0), a1 = mac(o1, m, x, a1), a2 = mac(o2, m, x, a2), a3 = mac(o3, m, x, a3);
      x = v128.load(xp, 64), m = v128.load(MASKS_3, 64);
      a0 = mac(e0, m, x, a0), a1 = mac(e1, m, x, a1), a2 = mac(e2, m, x, a2), a3 = mac(e3, m, x, a3);
      x = v128.load(xp, 80), m = v128.load(MASKS_3, 80);
      a0 = mac(o0, m, x, a0), a1 = mac(o1, m, x, a1), a2 = mac(o2, m, x, a2), a3 = mac(o3, m, x, a3);
      x = v128.load(xp, 96), m = v128.load(MASKS_3, 96);
      a0 = mac(e0, m, x, a0), a1 = mac(e1, m, x, a1), a2 = mac(e2, m, x, a2), a3 = mac(e3, m, x, a3);
      x = v128.load(xp, 112), m = v128.load(MASKS_3, 112);
      a0 = mac(o0, m, x, a0), a1 = mac(o1, m, x, a1), a2 = mac(o2, m, x, a2), a3 = mac(o3, m, x, a3);
      xp += 128;
      if ((b & groupMask) == groupMask) {
        t0 = scaled(sc, a0, t0);
        t1 = scaled(sc + stride, a1, t1);
        t2 = scaled(sc + stride * 2, a2, t2);
        t3 = scaled(sc + stride * 3, a3, t3);
        sc += scaleStep;
      }
    }
    finishApart(sums4(t0, t1, t2, t3), r, quarter, n, bias, relu, residual, out);
  }
}
