// Steps over packed codes that the products of all widths share.
import { halvesToFloats, madd } from "./simd";

/** acc + x * the masked codes, which stay where they lie: x was prescaled for that (stage.ts). */
// @ts-ignore: decorator
@inline export function mac(codes: v128, mask: v128, x: v128, acc: v128): v128 {
  return madd(f32x4.convert_i32x4_s(v128.and(codes, mask)), x, acc);
}

/** Signed bytes: the code's zero, 128, is taken off while it is still an integer, so nothing is rounded. */
// @ts-ignore: decorator
@inline export function macByte(codes: v128, mask: v128, middle: v128, x: v128, acc: v128): v128 {
  const signed = i32x4.sub(v128.and(codes, mask), middle);
  return madd(f32x4.convert_i32x4_s(signed), x, acc);
}

/** Scales of four rows, `apart` rows from one to the next, as floats; a row past the last one repeats it. */
export function scalesOfFour(
  scales: usize, groups: i32, n: i32, apart: i32, last: i32, to: usize,
): void {
  const stride = <usize>((groups + 3) & ~3) << 2;
  for (let i = 0; i < 4; i++) {
    halvesToFloats(scales + <usize>min(n, last) * <usize>groups * 2, groups, to);
    n += apart;
    to += stride;
  }
}

/** total + one row's scale * acc. */
// @ts-ignore: decorator
@inline export function scaled(scale: usize, acc: v128, total: v128): v128 {
  return madd(v128.load32_splat(scale), acc, total);
}
