// One row of activations times a trellis-coded matrix; shapes, scratch and the order of operations of an output are those
// of gemv2.ts and gemm.ts. Levels are bytes of 7 bits that stay where they lie in their word.
//
// Four weight rows share the seven units that they and the rows above them have; their levels wait in `tile`, where four
// vectors a row hold the 16 steps of a unit.
import { mac, scaled, scalesOfFour } from "./codes";
import { BYTES_7 } from "./constants";
import { finish } from "./finish";
import { sums4 } from "./simd";
import { even, high, low, odd, upperOf } from "./trellis";

/** The 16 steps of a unit, four vectors of bytes: byte k of vector j is step 4k + j. */
// @ts-ignore: decorator
@inline function levelsOf(unit: v128, one: v128, two: v128, three: v128, table: v128, to: usize): void {
  const upper = upperOf(one, two, three);
  const e = even(unit, upper), o = odd(unit, upper);
  v128.store(to, low(table, e));
  v128.store(to, low(table, o), 16);
  v128.store(to, high(table, e), 32);
  v128.store(to, high(table, o), 48);
}

/** As gemv_tile.ts, but tile v128 [4 rows, 4]; above: rows of the matrix before w's first. */
export function gemvTrellis(
  w: usize, rowBytes: i32, n: i32, kPadded: i32, scales: usize, groups: i32, group: i32,
  scaleStep: i32, zero: f32, levels: usize, xs: usize, sums: usize, tile: usize, expanded: usize,
  bias: usize, relu: i32, residual: usize, out: usize, above: i32,
): void {
  const stride = <usize>((groups + 3) & ~3) << 2;
  const minusZero = f32x4.splat(-zero), table = v128.load(levels), none = i32x4.splat(0);
  const last = (group >> 2) - 1, end = kPadded >> 2;
  for (let r = 0; r < n; r += 4) {
    const p0 = w + <usize>r * rowBytes, row = <usize>rowBytes;
    const p1 = w + <usize>min(r + 1, n - 1) * rowBytes;
    const p2 = w + <usize>min(r + 2, n - 1) * rowBytes;
    const p3 = w + <usize>min(r + 3, n - 1) * rowBytes;
    const b = above + r;
    scalesOfFour(scales, groups, r, 1, n - 1, expanded);
    let sc = expanded, xp = xs, sp = sums, at: usize = 0;
    let t0 = f32x4.splat(0), t1 = t0, t2 = t0, t3 = t0;
    let a0 = t0, a1 = t0, a2 = t0, a3 = t0;
    for (let s = 0; s < end; s += 4) {
      if ((s & 15) == 0) {
        const m1 = b > 0 ? v128.load(p0 + at - row) : none;
        const m2 = b > 1 ? v128.load(p0 + at - 2 * row) : none;
        const m3 = b > 2 ? v128.load(p0 + at - 3 * row) : none;
        const u0 = v128.load(p0 + at), u1 = v128.load(p1 + at);
        const u2 = v128.load(p2 + at), u3 = v128.load(p3 + at);
        levelsOf(u0, m1, m2, m3, table, tile);
        levelsOf(u1, u0, m1, m2, table, tile + 64);
        levelsOf(u2, u1, u0, m1, table, tile + 128);
        levelsOf(u3, u2, u1, u0, table, tile + 192);
        at += 16;
      }
      if ((s & last) == 0) {
        a0 = f32x4.mul(v128.load(sp), minusZero);
        a1 = a0;
        a2 = a0;
        a3 = a0;
        sp += 16;
      }
      const m = v128.load(BYTES_7 + <usize>(s & 12) * 4);
      let x = v128.load(xp);
      a0 = mac(v128.load(tile), m, x, a0), a1 = mac(v128.load(tile, 64), m, x, a1);
      a2 = mac(v128.load(tile, 128), m, x, a2), a3 = mac(v128.load(tile, 192), m, x, a3);
      x = v128.load(xp, 16);
      a0 = mac(v128.load(tile, 16), m, x, a0), a1 = mac(v128.load(tile, 80), m, x, a1);
      a2 = mac(v128.load(tile, 144), m, x, a2), a3 = mac(v128.load(tile, 208), m, x, a3);
      x = v128.load(xp, 32);
      a0 = mac(v128.load(tile, 32), m, x, a0), a1 = mac(v128.load(tile, 96), m, x, a1);
      a2 = mac(v128.load(tile, 160), m, x, a2), a3 = mac(v128.load(tile, 224), m, x, a3);
      x = v128.load(xp, 48);
      a0 = mac(v128.load(tile, 48), m, x, a0), a1 = mac(v128.load(tile, 112), m, x, a1);
      a2 = mac(v128.load(tile, 176), m, x, a2), a3 = mac(v128.load(tile, 240), m, x, a3);
      xp += 64;
      if (((s + 4) & last) == 0) {
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
