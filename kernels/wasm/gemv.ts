// One row of activations times a matrix: four output rows at a time share the loads of the activations.
//
// The order of float operations of an output is the one of gemm.ts, operation by operation:
// a group's accumulator (4 lanes) starts at -zero * sums[group], takes its steps in order, and is added to the
// total with the group's scale; the lanes of the total are summed at the end. Without scales (f16, f32) the one
// accumulator runs through the whole row.
//
// w: codes [n, rowBytes]; scales f16 [n, groups]; xs f32 [kPadded] staged; sums v128 [kPadded / group];
// scratch: f32 [4, groups rounded up to 4]; out f32 [n]. Below 16 bits a block is 32 weights and a group
// groupMask + 1 blocks; scaleStep is 4, or 0 where one scale serves the row.
import { LEVEL_BITS, LEVEL_BYTES, MASKS_2, MASKS_4, MASKS_8, MIDDLES_8 } from "./constants";
import { finish } from "./finish";
import { anyNotNormal, halves, halvesToFloats, madd, normalHalves, sums4 } from "./simd";

// @ts-ignore: decorator
@inline function mac(codes: v128, mask: v128, x: v128, acc: v128): v128 {
  return madd(f32x4.convert_i32x4_s(v128.and(codes, mask)), x, acc);
}

/** Signed bytes: the code's zero, 128, is taken off while it is still an integer, so nothing is rounded. */
// @ts-ignore: decorator
@inline function macByte(codes: v128, mask: v128, middle: v128, x: v128, acc: v128): v128 {
  const signed = i32x4.sub(v128.and(codes, mask), middle);
  return madd(f32x4.convert_i32x4_s(signed), x, acc);
}

/** levels[code] of the lowest code of each lane; the table's four floats lie in one vector. */
// @ts-ignore: decorator
@inline export function lookUp(table: v128, codes: v128): v128 {
  const byte = i32x4.shl(v128.and(codes, v128.load(LEVEL_BITS)), 2);
  const spread = v128.shuffle<i8>(byte, byte, 0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12);
  return i8x16.swizzle(table, v128.or(spread, v128.load(LEVEL_BYTES)));
}

/** Scales of four rows as floats; a row past the last one repeats it. */
export function scalesOfFour(scales: usize, groups: i32, n: i32, last: i32, to: usize): void {
  const stride = <usize>((groups + 3) & ~3) << 2;
  for (let i = 0; i < 4; i++) {
    halvesToFloats(scales + <usize>min(n + i, last) * <usize>groups * 2, groups, to);
    to += stride;
  }
}

// @ts-ignore: decorator
@inline function scaled(scale: usize, acc: v128, total: v128): v128 {
  return madd(v128.load32_splat(scale), acc, total);
}

export function gemv2(
  w: usize, rowBytes: i32, n: i32, blocks: i32, groupMask: i32, scales: usize, groups: i32,
  scaleStep: i32, zero: f32, xs: usize, sums: usize, scratch: usize, bias: usize, relu: i32,
  residual: usize, out: usize,
): void {
  const stride = <usize>((groups + 3) & ~3) << 2;
  const minusZero = f32x4.splat(-zero);
  for (let r = 0; r < n; r += 4) {
    let p0 = w + <usize>r * rowBytes;
    let p1 = w + <usize>min(r + 1, n - 1) * rowBytes;
    let p2 = w + <usize>min(r + 2, n - 1) * rowBytes;
    let p3 = w + <usize>min(r + 3, n - 1) * rowBytes;
    scalesOfFour(scales, groups, r, n - 1, scratch);
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
    finish(sums4(t0, t1, t2, t3), r, n - r, bias, relu, residual, out);
  }
}

/** As gemv2 with a codebook: weight = scale * levels[code]; xs is not prescaled and zero is 0. */
export function gemv2Levels(
  w: usize, rowBytes: i32, n: i32, blocks: i32, groupMask: i32, scales: usize, groups: i32,
  scaleStep: i32, zero: f32, levels: usize, xs: usize, sums: usize, scratch: usize, bias: usize,
  relu: i32, residual: usize, out: usize,
): void {
  const stride = <usize>((groups + 3) & ~3) << 2;
  const minusZero = f32x4.splat(-zero);
  const table = v128.load(levels);
  for (let r = 0; r < n; r += 4) {
    const p0 = w + <usize>r * rowBytes;
    const p1 = w + <usize>min(r + 1, n - 1) * rowBytes;
    const p2 = w + <usize>min(r + 2, n - 1) * rowBytes;
    const p3 = w + <usize>min(r + 3, n - 1) * rowBytes;
    scalesOfFour(scales, groups, r, n - 1, scratch);
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
      const unit = <usize>(b >> 1) << 4;
      const half = (b & 1) << 4;
      let u0 = i32x4.shr_u(v128.load(p0 + unit), half), u1 = i32x4.shr_u(v128.load(p1 + unit), half);
      let u2 = i32x4.shr_u(v128.load(p2 + unit), half), u3 = i32x4.shr_u(v128.load(p3 + unit), half);
      for (let s = 0; s < 8; s++) {
        const x = v128.load(xp);
        xp += 16;
        a0 = madd(lookUp(table, u0), x, a0);
        a1 = madd(lookUp(table, u1), x, a1);
        a2 = madd(lookUp(table, u2), x, a2);
        a3 = madd(lookUp(table, u3), x, a3);
        u0 = i32x4.shr_u(u0, 2);
        u1 = i32x4.shr_u(u1, 2);
        u2 = i32x4.shr_u(u2, 2);
        u3 = i32x4.shr_u(u3, 2);
      }
      if ((b & groupMask) == groupMask) {
        t0 = scaled(sc, a0, t0);
        t1 = scaled(sc + stride, a1, t1);
        t2 = scaled(sc + stride * 2, a2, t2);
        t3 = scaled(sc + stride * 3, a3, t3);
        sc += scaleStep;
      }
    }
    finish(sums4(t0, t1, t2, t3), r, n - r, bias, relu, residual, out);
  }
}

export function gemv4(
  w: usize, rowBytes: i32, n: i32, blocks: i32, groupMask: i32, scales: usize, groups: i32,
  scaleStep: i32, zero: f32, xs: usize, sums: usize, scratch: usize, bias: usize, relu: i32,
  residual: usize, out: usize,
): void {
  const stride = <usize>((groups + 3) & ~3) << 2;
  const minusZero = f32x4.splat(-zero);
  for (let r = 0; r < n; r += 4) {
    let p0 = w + <usize>r * rowBytes;
    let p1 = w + <usize>min(r + 1, n - 1) * rowBytes;
    let p2 = w + <usize>min(r + 2, n - 1) * rowBytes;
    let p3 = w + <usize>min(r + 3, n - 1) * rowBytes;
    scalesOfFour(scales, groups, r, n - 1, scratch);
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
      let u0 = v128.load(p0), u1 = v128.load(p1), u2 = v128.load(p2), u3 = v128.load(p3);
      p0 += 16;
      p1 += 16;
      p2 += 16;
      p3 += 16;
      for (let half = 0; half < 2; half++) {
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
        u0 = i32x4.shr_u(u0, 16);
        u1 = i32x4.shr_u(u1, 16);
        u2 = i32x4.shr_u(u2, 16);
        u3 = i32x4.shr_u(u3, 16);
      }
      if ((b & groupMask) == groupMask) {
        t0 = scaled(sc, a0, t0);
        t1 = scaled(sc + stride, a1, t1);
        t2 = scaled(sc + stride * 2, a2, t2);
        t3 = scaled(sc + stride * 3, a3, t3);
        sc += scaleStep;
      }
    }
    finish(sums4(t0, t1, t2, t3), r, n - r, bias, relu, residual, out);
  }
}

/** `zero` is what is left of the format's zero beside the 128 that is taken off early. */
export function gemv8(
  w: usize, rowBytes: i32, n: i32, blocks: i32, groupMask: i32, scales: usize, groups: i32,
  scaleStep: i32, zero: f32, xs: usize, sums: usize, scratch: usize, bias: usize, relu: i32,
  residual: usize, out: usize,
): void {
  const stride = <usize>((groups + 3) & ~3) << 2;
  const minusZero = f32x4.splat(-zero);
  for (let r = 0; r < n; r += 4) {
    let p0 = w + <usize>r * rowBytes;
    let p1 = w + <usize>min(r + 1, n - 1) * rowBytes;
    let p2 = w + <usize>min(r + 2, n - 1) * rowBytes;
    let p3 = w + <usize>min(r + 3, n - 1) * rowBytes;
    scalesOfFour(scales, groups, r, n - 1, scratch);
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
    finish(sums4(t0, t1, t2, t3), r, n - r, bias, relu, residual, out);
  }
}

// @ts-ignore: decorator
@inline function low(h: v128): v128 {
  return i32x4.extend_low_i16x8_s(h);
}
// @ts-ignore: decorator
@inline function high(h: v128): v128 {
  return i32x4.extend_high_i16x8_s(h);
}

export function gemv16(
  w: usize, rowBytes: i32, n: i32, xs: usize, bias: usize, relu: i32, residual: usize, out: usize,
): void {
  for (let r = 0; r < n; r += 4) {
    const p0 = w + <usize>r * rowBytes;
    const p1 = w + <usize>min(r + 1, n - 1) * rowBytes;
    const p2 = w + <usize>min(r + 2, n - 1) * rowBytes;
    const p3 = w + <usize>min(r + 3, n - 1) * rowBytes;
    let xp = xs;
    let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
    for (let k = 0; k < rowBytes; k += 16) {
      const h0 = v128.load(p0 + k), h1 = v128.load(p1 + k);
      const h2 = v128.load(p2 + k), h3 = v128.load(p3 + k);
      const odd = anyNotNormal(h0, h1, h2, h3);
      let x = v128.load(xp);
      const y = v128.load(xp, 16);
      xp += 32;
      if (v128.any_true(odd)) {
        a0 = madd(halves(low(h0)), x, a0), a1 = madd(halves(low(h1)), x, a1);
        a2 = madd(halves(low(h2)), x, a2), a3 = madd(halves(low(h3)), x, a3);
        a0 = madd(halves(high(h0)), y, a0), a1 = madd(halves(high(h1)), y, a1);
        a2 = madd(halves(high(h2)), y, a2), a3 = madd(halves(high(h3)), y, a3);
      } else {
        a0 = madd(normalHalves(low(h0)), x, a0), a1 = madd(normalHalves(low(h1)), x, a1);
        a2 = madd(normalHalves(low(h2)), x, a2), a3 = madd(normalHalves(low(h3)), x, a3);
        a0 = madd(normalHalves(high(h0)), y, a0), a1 = madd(normalHalves(high(h1)), y, a1);
        a2 = madd(normalHalves(high(h2)), y, a2), a3 = madd(normalHalves(high(h3)), y, a3);
      }
    }
    finish(sums4(a0, a1, a2, a3), r, n - r, bias, relu, residual, out);
  }
}

export function gemv32(
  w: usize, rowBytes: i32, n: i32, xs: usize, bias: usize, relu: i32, residual: usize, out: usize,
): void {
  for (let r = 0; r < n; r += 4) {
    const p0 = w + <usize>r * rowBytes;
    const p1 = w + <usize>min(r + 1, n - 1) * rowBytes;
    const p2 = w + <usize>min(r + 2, n - 1) * rowBytes;
    const p3 = w + <usize>min(r + 3, n - 1) * rowBytes;
    let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
    for (let k = 0; k < rowBytes; k += 16) {
      const x = v128.load(xs + k);
      a0 = madd(v128.load(p0 + k), x, a0), a1 = madd(v128.load(p1 + k), x, a1);
      a2 = madd(v128.load(p2 + k), x, a2), a3 = madd(v128.load(p3 + k), x, a3);
    }
    finish(sums4(a0, a1, a2, a3), r, n - r, bias, relu, residual, out);
  }
}
