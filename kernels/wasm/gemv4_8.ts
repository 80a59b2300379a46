// One row of activations times a matrix of 4- or 8-bit codes: shapes and order of operations as in gemv2.ts.
import { mac, macByte, scaled, scalesOfFour } from "./codes";
import { MASKS_4, MASKS_8, MIDDLES_8 } from "./constants";
import { finishApart } from "./finish";
import { sums4 } from "./simd";

export function gemv4(
  w: usize, rowBytes: i32, n: i32, blocks: i32, groupMask: i32, scales: usize, groups: i32,
  scaleStep: i32, zero: f32, levels: usize, xs: usize, sums: usize, scratch: usize, bias: usize,
  relu: i32, residual: usize, out: usize,
): void {
  const stride = <usize>((groups + 3) & ~3) << 2;
  const minusZero = f32x4.splat(-zero);
  const quarter = (n + 3) >> 2;
  const inGroup = groupMask + 1;
  for (let r = 0; r < quarter; r++) {
    let p0 = w + <usize>r * rowBytes;
    let p1 = w + <usize>min(r + quarter, n - 1) * rowBytes;
    let p2 = w + <usize>min(r + 2 * quarter, n - 1) * rowBytes;
    let p3 = w + <usize>min(r + 3 * quarter, n - 1) * rowBytes;
    scalesOfFour(scales, groups, r, quarter, n - 1, scratch);
    let sc = scratch, xp = xs, sp = sums;
    let t0 = f32x4.splat(0), t1 = t0, t2 = t0, t3 = t0;
    // Half a unit at a time: its upper codes are read two bytes further on, which spares the shifts.
    let step: usize = 2;
    for (let b = 0; b < blocks; b += inGroup) {
      let a0 = f32x4.mul(v128.load(sp), minusZero), a1 = a0, a2 = a0, a3 = a0;
      sp += 16;
      for (let i = 0; i < inGroup << 1; i++) {
        const u0 = v128.load(p0), u1 = v128.load(p1), u2 = v128.load(p2), u3 = v128.load(p3);
        let x = v128.load(xp), m = v128.load(MASKS_4);
        a0 = mac(u0, m, x, a0), a1 = mac(u1, m, x, a1);
        a2 = mac(u2, m, x, a2), a3 = mac(u3, m, x, a3);
        x = v128.load(xp, 16), m = v128.load(MASKS_4, 16);
        a0 = mac(u0, m, x, a0), a1 = mac(u1, m, x, a1);
        a2 = mac(u2, m, x, a2), a3 = mac(u3, m, x, a3);
        x = v128.load(xp, 32), m = v128.load(MASKS_4, 32);
        a0 = mac(u0, m, x, a0), a1 = mac(u1, m, x, a1);
        a2 = mac(u2, m, x, a2), a3 = mac(u3, m, x, a3);
        x = v128.load(xp, 48), m = v128.load(MASKS_4, 48);
        a0 = mac(u0, m, x, a0), a1 = mac(u1, m, x, a1);
        a2 = mac(u2, m, x, a2), a3 = mac(u3, m, x, a3);
        xp += 64;
        p0 += step;
        p1 += step;
        p2 += step;
        p3 += step;
        step = 16 - step;
      }
      t0 = scaled(sc, a0, t0);
      t1 = scaled(sc + stride, a1, t1);
      t2 = scaled(sc + stride * 2, a2, t2);
      t3 = scaled(sc + stride * 3, a3, t3);
      sc += scaleStep;
    }
    finishApart(sums4(t0, t1, t2, t3), r, quarter, n, bias, relu, residual, out);
  }
}

/** `zero` is what is left of the format's zero beside the 128 that is taken off early. */
export function gemv8(
  w: usize, rowBytes: i32, n: i32, blocks: i32, groupMask: i32, scales: usize, groups: i32,
  scaleStep: i32, zero: f32, levels: usize, xs: usize, sums: usize, scratch: usize, bias: usize,
  relu: i32, residual: usize, out: usize,
): void {
  const stride = <usize>((groups + 3) & ~3) << 2;
  const minusZero = f32x4.splat(-zero);
  const quarter = (n + 3) >> 2;
  for (let r = 0; r < quarter; r++) {
    let p0 = w + <usize>r * rowBytes;
    let p1 = w + <usize>min(r + quarter, n - 1) * rowBytes;
    let p2 = w + <usize>min(r + 2 * quarter, n - 1) * rowBytes;
    let p3 = w + <usize>min(r + 3 * quarter, n - 1) * rowBytes;
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
      for (let unit = 0; unit < 2; unit++) {
        const u0 = v128.load(p0), u1 = v128.load(p1), u2 = v128.load(p2), u3 = v128.load(p3);
        p0 += 16;
        p1 += 16;
        p2 += 16;
        p3 += 16;
        let x = v128.load(xp), m = v128.load(MASKS_8), c = v128.load(MIDDLES_8);
        a0 = macByte(u0, m, c, x, a0), a1 = macByte(u1, m, c, x, a1);
        a2 = macByte(u2, m, c, x, a2), a3 = macByte(u3, m, c, x, a3);
        x = v128.load(xp, 16), m = v128.load(MASKS_8, 16), c = v128.load(MIDDLES_8, 16);
        a0 = macByte(u0, m, c, x, a0), a1 = macByte(u1, m, c, x, a1);
        a2 = macByte(u2, m, c, x, a2), a3 = macByte(u3, m, c, x, a3);
        x = v128.load(xp, 32), m = v128.load(MASKS_8, 32), c = v128.load(MIDDLES_8, 32);
        a0 = macByte(u0, m, c, x, a0), a1 = macByte(u1, m, c, x, a1);
        a2 = macByte(u2, m, c, x, a2), a3 = macByte(u3, m, c, x, a3);
        x = v128.load(xp, 48), m = v128.load(MASKS_8, 48), c = v128.load(MIDDLES_8, 48);
        a0 = macByte(u0, m, c, x, a0), a1 = macByte(u1, m, c, x, a1);
        a2 = macByte(u2, m, c, x, a2), a3 = macByte(u3, m, c, x, a3);
        xp += 64;
      }
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
