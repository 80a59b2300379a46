// A trellis code on units of 64 codes (src/base/trellis.ts): indices of levels from a row's unit and the three above it.

/** The upper two bits of the 64 indices, where the lower two lie: from the units one, two and three rows above. */
// @ts-ignore: decorator
@inline export function upperOf(one: v128, two: v128, three: v128): v128 {
  const both = v128.xor(two, three);
  const swapped = v128.or(
    v128.and(i32x4.shr_u(both, 1), i32x4.splat(0x55555555)),
    v128.and(i32x4.shl(both, 1), i32x4.splat(0xaaaaaaaa)),
  );
  return v128.xor(one, swapped);
}

/** Indices of the codes at bits 0 and 4 of each byte. */
// @ts-ignore: decorator
@inline export function even(unit: v128, upper: v128): v128 {
  const mask = i32x4.splat(0x33333333);
  return v128.or(v128.and(unit, mask), i32x4.shl(v128.and(upper, mask), 2));
}

/** Levels of the indices at bits 0 of each byte. */
// @ts-ignore: decorator
@inline export function low(table: v128, indices: v128): v128 {
  return i8x16.swizzle(table, v128.and(indices, i32x4.splat(0x0f0f0f0f)));
}

/** Levels of the indices at bits 4 of each byte. */
// @ts-ignore: decorator
@inline export function high(table: v128, indices: v128): v128 {
  return low(table, i32x4.shr_u(indices, 4));
}

/** Indices of the codes at bits 2 and 6 of each byte, moved to bits 0 and 4. */
// @ts-ignore: decorator
@inline export function odd(unit: v128, upper: v128): v128 {
  const mask = i32x4.splat(0x33333333);
  return v128.or(v128.and(i32x4.shr_u(unit, 2), mask), v128.andnot(upper, mask));
}
