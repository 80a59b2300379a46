// One row of activations times a matrix of 2-bit codes: four output rows at a time share the loads of the activations.
// They lie a quarter of the matrix apart, so that memory is read as four long sequences (rows side by side: a fifth to
// a third slower where the weights are in no cache).
//
// The order of float operations of an output is the one of gemm.ts, operation by operation:
// a group's accumulator (4 lanes) starts at -zero * sums[group], takes its steps in order, and is added to the
// total with the group's scale; the lanes of the total are summed at the end.
//
// w: codes [n, rowBytes]; scales f16 [n, groups]; xs f32 [kPadded] staged; sums v128 [kPadded / group];
// scratch: f32 [4, groups rounded up to 4]; out f32 [n]; bias f32 [n] and residual f32 [n], 0 where absent.
// A block is 32 weights and a group groupMask + 1 blocks; scaleStep is 4, or 0 where one scale serves the row.
import { mac, scaled, scalesOfFour } from "./codes";
import { MASKS_2 } from "./constants";
import { finishApart } from "./finish";
import { sums4 } from "./simd";

export function gemv2(
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
    let u0 = t0, u1 = t0, u2 = t0, u3 = t0;
    for (let b = 0; b < blocks; b++) {
      if ((b & groupMask) == 0) {
        a0 = f32x4.mul(v128.load(sp), minusZero);
        a1 = a0;
        a2 = a0;
        a3 = a0;
        sp += 16;
      }
      if ((b & 1) == 0) {
        u0 = v128.load(p0);
        u1 = v128.load(p1);
        u2 = v128.load(p2);
        u3 = v128.load(p3);
        p0 += 16;
        p1 += 16;
        p2 += 16;
        p3 += 16;
      } else {
        u0 = i32x4.shr_u(u0, 16);
        u1 = i32x4.shr_u(u1, 16);
        u2 = i32x4.shr_u(u2, 16);
        u3 = i32x4.shr_u(u3, 16);
      }
      let x = v128.load(xp), m = v128.load(MASKS_2);
      a0 = mac(u0, m, x, a0), a1 = mac(u1, m, x, a1);
      a2 = mac(u2, m, x, a2), a3 = mac(u3, m, x, a3);
      x = v128.load(xp, 16), m = v128.load(MASKS_2, 16);
      a0 = mac(u0, m, x, a0), a1 = mac(u1, m, x, a1);
      a2 = mac(u2, m, x, a2), a3 = mac(u3, m, x, a3);
      x = v128.load(xp, 32), m = v128.load(MASKS_2, 32);
      a0 = mac(u0, m, x, a0), a1 = mac(u1, m, x, a1);
      a2 = mac(u2, m, x, a2), a3 = mac(u3, m, x, a3);
      x = v128.load(xp, 48), m = v128.load(MASKS_2, 48);
      a0 = mac(u0, m, x, a0), a1 = mac(u1, m, x, a1);
      a2 = mac(u2, m, x, a2), a3 = mac(u3, m, x, a3);
      x = v128.load(xp, 64), m = v128.load(MASKS_2, 64);
      a0 = mac(u0, m, x, a0), a1 = mac(u1, m, x, a1);
      a2 = mac(u2, m, x, a2), a3 = mac(u3, m, x, a3);
      x = v128.load(xp, 80), m = v128.load(MASKS_2, 80);
      a0 = mac(u0, m, x, a0), a1 = mac(u1, m, x, a1);
      a2 = mac(u2, m, x, a2), a3 = mac(u3, m, x, a3);
      x = v128.load(xp, 96), m = v128.load(MASKS_2, 96);
      a0 = mac(u0, m, x, a0), a1 = mac(u1, m, x, a1);
      a2 = mac(u2, m, x, a2), a3 = mac(u3, m, x, a3);
      x = v128.load(xp, 112), m = v128.load(MASKS_2, 112);
      a0 = mac(u0, m, x, a0), a1 = mac(u1, m, x, a1);
      a2 = mac(u2, m, x, a2), a3 = mac(u3, m, x, a3);
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
