// Many rows of activations times a matrix: sixteen weight rows are decoded a chunk at a time and meet every row.
//
// out[rows[m], n] = act(sum over k of x[m, k] w[n, k] + bias[n]) + residual[rows[m], n].
// Each output is computed by the operations of gemv*.ts in the same order, so its bits do not depend on how many
// rows are in the call. Four decoded rows, a quad, are f32 [columns / 4][4 rows][4 columns] and still unscaled.
import { scalesOfFour } from "./codes";
import { decode, TWO } from "./decode";
import { finish } from "./finish";
import { madd, sums4 } from "./simd";

/**
 * Weight rows and columns decoded at a time: 16 KiB, which stays in the first cache while two rows of activations
 * after another pass (wider tiles spare loads of activations from the second). CHUNK is a multiple of 128.
 */
const WIDTH = 16;
const CHUNK = 256;
const QUAD_BYTES: usize = CHUNK * 16;

/**
 * A quad times every row: accumulators of two rows by four outputs stay in registers for one group.
 * xs f32 rows of xStride bytes; sums of sumStride bytes a row; totals v128 [count, WIDTH], four of each added to.
 * Without scales (scaled = 0) the tile is one group whose accumulator is the total itself.
 */
function multiply(
  quads: i32, tile: usize, groupsHere: i32, steps: i32, xs: usize, xStride: usize, count: i32,
  scaled: i32, minusZero: v128, sums: usize, sumStride: usize, scales: usize, stride: usize,
  scaleStep: i32, totals: usize,
): void {
  for (let m = 0; m < count; m += 2) {
    // An odd last row runs twice side by side; both copies hold the same values.
    const second = <usize>(m + 1 < count ? 1 : 0);
    const row = <usize>m * WIDTH * 16;
    for (let quad: usize = 0; quad < <usize>quads; quad++) {
      const ta = totals + row + (quad << 6);
      multiplyQuad(
        tile + quad * QUAD_BYTES, groupsHere, steps, xs + <usize>m * xStride, second * xStride, scaled,
        minusZero, sums + <usize>m * sumStride, second * sumStride, scales + quad * 4 * stride, stride,
        scaleStep, ta, ta + second * WIDTH * 16,
      );
    }
  }
}

function multiplyQuad(
  wp: usize, groupsHere: i32, steps: i32, xa: usize, xSecond: usize, scaled: i32, minusZero: v128,
  sa: usize, sumSecond: usize, sc: usize, stride: usize, scaleStep: i32, ta: usize, tb: usize,
): void {
  let xb = xa + xSecond, sb = sa + sumSecond;
  let a0: v128, a1: v128, a2: v128, a3: v128, b0: v128, b1: v128, b2: v128, b3: v128;
  for (let g = 0; g < groupsHere; g++) {
    if (scaled != 0) {
      a0 = f32x4.mul(v128.load(sa), minusZero);
      b0 = f32x4.mul(v128.load(sb), minusZero);
      a1 = a0, a2 = a0, a3 = a0, b1 = b0, b2 = b0, b3 = b0;
      sa += 16;
      sb += 16;
    } else {
      a0 = v128.load(ta), a1 = v128.load(ta, 16), a2 = v128.load(ta, 32), a3 = v128.load(ta, 48);
      b0 = v128.load(tb), b1 = v128.load(tb, 16), b2 = v128.load(tb, 32), b3 = v128.load(tb, 48);
    }
    let s = 0;
    for (; s + 4 <= steps; s += 4) {
      let u = v128.load(xa), v = v128.load(xb), w = v128.load(wp);
      a0 = madd(w, u, a0), b0 = madd(w, v, b0), w = v128.load(wp, 16);
      a1 = madd(w, u, a1), b1 = madd(w, v, b1), w = v128.load(wp, 32);
      a2 = madd(w, u, a2), b2 = madd(w, v, b2), w = v128.load(wp, 48);
      a3 = madd(w, u, a3), b3 = madd(w, v, b3);
      u = v128.load(xa, 16), v = v128.load(xb, 16), w = v128.load(wp, 64);
      a0 = madd(w, u, a0), b0 = madd(w, v, b0), w = v128.load(wp, 80);
      a1 = madd(w, u, a1), b1 = madd(w, v, b1), w = v128.load(wp, 96);
      a2 = madd(w, u, a2), b2 = madd(w, v, b2), w = v128.load(wp, 112);
      a3 = madd(w, u, a3), b3 = madd(w, v, b3);
      u = v128.load(xa, 32), v = v128.load(xb, 32), w = v128.load(wp, 128);
      a0 = madd(w, u, a0), b0 = madd(w, v, b0), w = v128.load(wp, 144);
      a1 = madd(w, u, a1), b1 = madd(w, v, b1), w = v128.load(wp, 160);
      a2 = madd(w, u, a2), b2 = madd(w, v, b2), w = v128.load(wp, 176);
      a3 = madd(w, u, a3), b3 = madd(w, v, b3);
      u = v128.load(xa, 48), v = v128.load(xb, 48), w = v128.load(wp, 192);
      a0 = madd(w, u, a0), b0 = madd(w, v, b0), w = v128.load(wp, 208);
      a1 = madd(w, u, a1), b1 = madd(w, v, b1), w = v128.load(wp, 224);
      a2 = madd(w, u, a2), b2 = madd(w, v, b2), w = v128.load(wp, 240);
      a3 = madd(w, u, a3), b3 = madd(w, v, b3);
      xa += 64;
      xb += 64;
      wp += 256;
    }
    for (; s < steps; s++) {
      const u = v128.load(xa), v = v128.load(xb);
      let w = v128.load(wp);
      a0 = madd(w, u, a0), b0 = madd(w, v, b0), w = v128.load(wp, 16);
      a1 = madd(w, u, a1), b1 = madd(w, v, b1), w = v128.load(wp, 32);
      a2 = madd(w, u, a2), b2 = madd(w, v, b2), w = v128.load(wp, 48);
      a3 = madd(w, u, a3), b3 = madd(w, v, b3);
      xa += 16;
      xb += 16;
      wp += 64;
    }
    if (scaled != 0) {
      // All eight totals are read before one is written: an odd last row shares them.
      let f = v128.load32_splat(sc);
      a0 = madd(f, a0, v128.load(ta)), b0 = madd(f, b0, v128.load(tb));
      f = v128.load32_splat(sc + stride);
      a1 = madd(f, a1, v128.load(ta, 16)), b1 = madd(f, b1, v128.load(tb, 16));
      f = v128.load32_splat(sc + stride * 2);
      a2 = madd(f, a2, v128.load(ta, 32)), b2 = madd(f, b2, v128.load(tb, 32));
      f = v128.load32_splat(sc + stride * 3);
      a3 = madd(f, a3, v128.load(ta, 48)), b3 = madd(f, b3, v128.load(tb, 48));
      sc += scaleStep;
    }
    v128.store(ta, a0), v128.store(ta, a1, 16), v128.store(ta, a2, 32), v128.store(ta, a3, 48);
    v128.store(tb, b0), v128.store(tb, b1, 16), v128.store(tb, b2, 32), v128.store(tb, b3, 48);
  }
}

/**
 * Reads one word of each cache line of a tile, in order. Decoding alternates between sixteen rows, and memory that is
 * not in a cache comes much slower so. What was read goes to `to`, so that it is not left out.
 */
function touch(from: usize, bytes: usize, to: usize): void {
  let all: i32 = 0;
  for (const end = from + bytes; from < end; from += 64) all |= load<i32>(from);
  store<i32>(to, all);
}

/**
 * xs f32 [count, kPadded] and sums from stage.ts; rows i32 [count] are the rows of out and residual.
 * Scratch: tile f32 [16, 256], scales f32 [16, groups rounded up to 4], totals v128 [count, 16].
 * above: rows of the matrix that lie before w's first.
 * group: columns a group (scaled kinds); scaleStep: 4, or 0 where one scale serves the row.
 */
export function gemm(
  kind: i32, w: usize, rowBytes: i32, n: i32, kPadded: i32, scales: usize, groups: i32, group: i32,
  scaleStep: i32, zero: f32, levels: usize, xs: usize, sums: usize, count: i32, rows: usize,
  tile: usize, expanded: usize, totals: usize, bias: usize, relu: i32, residual: usize, out: usize,
  outStride: i32, above: i32,
): void {
  const scaled = kind >= TWO ? 1 : 0;
  const stride = <usize>((groups + 3) & ~3) << 2;
  const sumStride = group != 0 ? <usize>(kPadded / group) << 4 : 0;
  const minusZero = f32x4.splat(-zero);
  for (let r = 0; r < n; r += WIDTH) {
    const quads = (min(WIDTH, n - r) + 3) >> 2;
    touch(w + <usize>r * rowBytes, <usize>min(WIDTH, n - r) * rowBytes, tile);
    for (let q = 0; q < quads && scaled != 0; q++) {
      scalesOfFour(scales, groups, r + q * 4, 1, n - 1, expanded + <usize>q * 4 * stride);
    }
    memory.fill(totals, 0, <usize>count * WIDTH * 16);
    for (let c = 0; c < kPadded; c += CHUNK) {
      const columns = min(CHUNK, kPadded - c);
      for (let i = 0; i < quads * 4; i++) {
        const row = w + <usize>min(r + i, n - 1) * rowBytes;
        const to = tile + <usize>(i >> 2) * QUAD_BYTES + (<usize>(i & 3) << 4);
        decode(kind, row, c, columns, levels, to, rowBytes, above + min(r + i, n - 1));
      }
      const before = scaled != 0 ? c / group : 0;
      multiply(
        quads, tile, scaled != 0 ? columns / group : 1, scaled != 0 ? group >> 2 : columns >> 2,
        xs + (<usize>c << 2), <usize>kPadded << 2, count, scaled, minusZero,
        sums + (<usize>before << 4), sumStride, expanded + <usize>(before * scaleStep), stride,
        scaleStep, totals,
      );
    }
    for (let m = 0; m < count; m++) {
      const row = <usize>load<i32>(rows + (<usize>m << 2)) * <usize>outStride * 4;
      let t = totals + <usize>m * WIDTH * 16;
      for (let o = r; o < r + quads * 4; o += 4) {
        const s = sums4(v128.load(t), v128.load(t, 16), v128.load(t, 32), v128.load(t, 48));
        finish(s, o, n - o, bias, relu, residual != 0 ? residual + row : 0, out + row);
        t += 64;
      }
    }
  }
}
