// Vector helpers that every kernel shares: sums over lanes, half to float, exp.
// All pointers are byte offsets into the imported memory; lanes are f32 unless said.

/** a * b + c with one rounding where the machine has FMA, in one fixed way within a process. */
// @ts-ignore: decorator
@inline export function madd(a: v128, b: v128, c: v128): v128 {
  return f32x4.relaxed_madd(a, b, c);
}

/** Lane i of the result is the sum of the lanes of the i-th argument, always in the order (0+2)+(1+3). */
// @ts-ignore: decorator
@inline export function sums4(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(
    v128.shuffle<f32>(a, b, 0, 4, 1, 5),
    v128.shuffle<f32>(a, b, 2, 6, 3, 7),
  );
  const cd = f32x4.add(
    v128.shuffle<f32>(c, d, 0, 4, 1, 5),
    v128.shuffle<f32>(c, d, 2, 6, 3, 7),
  );
  return f32x4.add(
    v128.shuffle<f32>(ab, cd, 0, 1, 4, 5),
    v128.shuffle<f32>(ab, cd, 2, 3, 6, 7),
  );
}

/** Sum of the lanes of one vector, in the order of sums4. */
// @ts-ignore: decorator
@inline export function sum(a: v128): f32 {
  return (f32x4.extract_lane(a, 0) + f32x4.extract_lane(a, 2)) +
    (f32x4.extract_lane(a, 1) + f32x4.extract_lane(a, 3));
}

// @ts-ignore: decorator
@inline export function max4(a: v128): f32 {
  return max<f32>(
    max<f32>(f32x4.extract_lane(a, 0), f32x4.extract_lane(a, 1)),
    max<f32>(f32x4.extract_lane(a, 2), f32x4.extract_lane(a, 3)),
  );
}

/**
 * Four IEEE halves, sign-extended to i32 lanes, to f32: every value, with zeros, subnormals, infinities and NaN.
 * Subnormals go through an exact subtraction: a multiplication by 2^112 would meet f32 subnormals, which are slow.
 */
// @ts-ignore: decorator
@inline export function halves(h: v128): v128 {
  const magnitude = v128.and(i32x4.shl(h, 13), i32x4.splat(0x0fffe000));
  const sign = v128.and(h, i32x4.splat(0x80000000));
  const normal = i32x4.add(magnitude, i32x4.splat(0x38000000));
  const small = f32x4.sub(
    i32x4.add(magnitude, i32x4.splat(0x38800000)),
    i32x4.splat(0x38800000),
  );
  const top = v128.or(magnitude, i32x4.splat(0x7f800000));
  let value = v128.bitselect(small, normal, i32x4.lt_s(magnitude, i32x4.splat(0x00800000)));
  value = v128.bitselect(top, value, i32x4.ge_s(magnitude, i32x4.splat(0x0f800000)));
  return v128.or(value, sign);
}

/** As `halves`, for lanes that are all normal numbers. */
// @ts-ignore: decorator
@inline export function normalHalves(h: v128): v128 {
  return i32x4.add(
    v128.and(i32x4.shl(h, 13), i32x4.splat(0x8fffe000)),
    i32x4.splat(0x38000000),
  );
}

/** All ones in each of eight half lanes that is zero, subnormal, infinite or NaN. */
// @ts-ignore: decorator
@inline export function notNormal(h: v128): v128 {
  const exponent = v128.and(h, i16x8.splat(0x7c00));
  return v128.or(
    i16x8.eq(exponent, i16x8.splat(0)),
    i16x8.eq(exponent, i16x8.splat(0x7c00)),
  );
}

/** f16 [count] at `from` to f32 [count rounded up to 4] at `to`; reads up to 6 bytes past the end. */
export function halvesToFloats(from: usize, count: i32, to: usize): void {
  for (let i = 0; i < count; i += 4) {
    v128.store(to, halves(v128.load16x4_s(from)));
    from += 8;
    to += 16;
  }
}

/**
 * exp of four lanes, relative error about 1e-7 (Cephes: x = n ln 2 + r, a polynomial of degree 6 in r).
 * Below -87.3 the result is 0, above 88.3 it saturates; NaN stays NaN.
 */
// @ts-ignore: decorator
@inline export function exp4(x: v128): v128 {
  const tiny = f32x4.lt(x, f32x4.splat(-87.3));
  const bounded = f32x4.min(f32x4.max(x, f32x4.splat(-87.3)), f32x4.splat(88.3));
  const n = f32x4.nearest(f32x4.mul(bounded, f32x4.splat(1.44269504088896341)));
  let r = f32x4.sub(bounded, f32x4.mul(n, f32x4.splat(0.693359375)));
  r = f32x4.sub(r, f32x4.mul(n, f32x4.splat(-2.12194440e-4)));
  let p = f32x4.splat(1.9875691500e-4);
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.3981999507e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(8.3334519073e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(4.1665795894e-2));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.6666665459e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(5.0000001201e-1));
  p = f32x4.add(f32x4.add(f32x4.mul(p, f32x4.mul(r, r)), r), f32x4.splat(1));
  const power = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23);
  return v128.andnot(f32x4.mul(p, power), tiny);
}

/** exp of one number, with the bits that exp4 gives. */
// @ts-ignore: decorator
@inline export function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(x)), 0);
}

/** The first `count` (1..3) lanes of a vector to memory. */
// @ts-ignore: decorator
@inline export function storeLanes(to: usize, v: v128, count: i32): void {
  store<f32>(to, f32x4.extract_lane(v, 0));
  if (count > 1) store<f32>(to + 4, f32x4.extract_lane(v, 1));
  if (count > 2) store<f32>(to + 8, f32x4.extract_lane(v, 2));
}

/** `count` (1..3) floats to a vector; the other lanes are `fill`. Reads nothing past them. */
// @ts-ignore: decorator
@inline export function loadLanes(from: usize, count: i32, fill: f32): v128 {
  let v = f32x4.replace_lane(f32x4.splat(fill), 0, load<f32>(from));
  if (count > 1) v = f32x4.replace_lane(v, 1, load<f32>(from + 4));
  if (count > 2) v = f32x4.replace_lane(v, 2, load<f32>(from + 8));
  return v;
}
