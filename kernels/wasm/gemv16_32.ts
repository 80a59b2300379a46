// One row of activations times a matrix of halves or floats: one accumulator an output runs through the whole row.
//
// w: [n, rowBytes]; xs f32 [kPadded]; bias f32 [n], residual and out f32 [n], bias and residual 0 where absent.
import { finish } from "./finish";
import { anyNotNormal, halves, madd, normalHalves, sums4 } from "./simd";

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
