// One row of activations times a matrix whose codes are decoded first: every width with a codebook.
//
// Four weight rows at a time are decoded into a quad as gemm.ts does and meet the one row; shapes, scratch and the
// order of operations of an output are those of gemm.ts, so the bits are too.
import { scaled, scalesOfFour } from "./codes";
import { decode } from "./decode";
import { finish } from "./finish";
import { madd, sums4 } from "./simd";

/** Columns decoded at a time: a quad of 4 KiB. A multiple of 128, which every group divides. */
const CHUNK = 256;

/** Parameters as in gemm.ts; tile f32 [CHUNK / 4][4][4], expanded f32 [4, groups rounded up to 4]. */
export function gemvTile(
  kind: i32, w: usize, rowBytes: i32, n: i32, kPadded: i32, scales: usize, groups: i32, group: i32,
  scaleStep: i32, zero: f32, levels: usize, xs: usize, sums: usize, tile: usize, expanded: usize,
  bias: usize, relu: i32, residual: usize, out: usize,
): void {
  const stride = <usize>((groups + 3) & ~3) << 2;
  const minusZero = f32x4.splat(-zero);
  const steps = group >> 2;
  for (let r = 0; r < n; r += 4) {
    scalesOfFour(scales, groups, r, 1, n - 1, expanded);
    let sc = expanded, xp = xs, sp = sums;
    let t0 = f32x4.splat(0), t1 = t0, t2 = t0, t3 = t0;
    for (let c = 0; c < kPadded; c += CHUNK) {
      const columns = min(CHUNK, kPadded - c);
      for (let i = 0; i < 4; i++) {
        decode(kind, w + <usize>min(r + i, n - 1) * rowBytes, c, columns, levels, tile + (<usize>i << 4), 0, 0);
      }
      let wp = tile;
      for (let g = 0; g < columns; g += group) {
        let a0 = f32x4.mul(v128.load(sp), minusZero), a1 = a0, a2 = a0, a3 = a0;
        sp += 16;
        for (let s = 0; s < steps; s += 2) {
          let x = v128.load(xp);
          a0 = madd(v128.load(wp), x, a0), a1 = madd(v128.load(wp, 16), x, a1);
          a2 = madd(v128.load(wp, 32), x, a2), a3 = madd(v128.load(wp, 48), x, a3);
          x = v128.load(xp, 16);
          a0 = madd(v128.load(wp, 64), x, a0), a1 = madd(v128.load(wp, 80), x, a1);
          a2 = madd(v128.load(wp, 96), x, a2), a3 = madd(v128.load(wp, 112), x, a3);
          xp += 32;
          wp += 128;
        }
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
