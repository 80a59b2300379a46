// Vector helpers that every kernel shares: sums over lanes, half to float, exp.
// All pointers are byte offsets into the imported memory; lanes are f32 unless said.
import {
  EXP, EXPONENT, HALF_EXPONENT, HALF_LEAST, HALF_MOVED, HALF_REBIAS, HALF_SCALE, HALF_TOP, HALF_TWICE_LEAST, HALF_TWICE_TOP,
  SIGN,
} from "./constants";

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
 * A subnormal f * 2^-14 comes out of the normal path as (1 + f) * 2^-15, is put right by exact additions and never
 * passes through a subnormal f32, which would cost some 150 cycles.
 */
// @ts-ignore: decorator
@inline export function halves(h: v128): v128 {
  const exponent = v128.and(h, v128.load(HALF_EXPONENT));
  const value = normalHalves(h);
  const sign = v128.and(value, v128.load(SIGN));
  const fix = f32x4.sub(value, v128.or(sign, v128.load(HALF_LEAST)));
  const small = i32x4.eq(exponent, i32x4.splat(0));
  const top = i32x4.eq(exponent, v128.load(HALF_EXPONENT));
  const right = f32x4.add(value, v128.and(fix, small));
  return v128.or(right, v128.and(top, v128.load(EXPONENT)));
}

/**
 * As `halves` without infinities and NaN, which come out as numbers from 65536 on. A subnormal is right but passes
 * through a subnormal f32, which costs some 150 cycles: for numbers among which they are rare.
 */
// @ts-ignore: decorator
@inline export function finiteHalves(h: v128): v128 {
  return f32x4.mul(v128.and(i32x4.shl(h, 13), v128.load(HALF_MOVED)), v128.load(HALF_SCALE));
}

/** As `halves`, for lanes that are all normal numbers. */
// @ts-ignore: decorator
@inline export function normalHalves(h: v128): v128 {
  const moved = v128.and(i32x4.shl(h, 13), v128.load(HALF_MOVED));
  return i32x4.add(moved, v128.load(HALF_REBIAS));
}

/** Of four vectors of eight halves each: all ones in lanes where one is zero, subnormal, infinite or NaN. */
// @ts-ignore: decorator
@inline export function anyNotNormal(a: v128, b: v128, c: v128, d: v128): v128 {
  const p = i16x8.shl(a, 1), q = i16x8.shl(b, 1), r = i16x8.shl(c, 1), s = i16x8.shl(d, 1);
  const least = i16x8.min_u(i16x8.min_u(p, q), i16x8.min_u(r, s));
  const most = i16x8.max_u(i16x8.max_u(p, q), i16x8.max_u(r, s));
  return v128.or(
    i16x8.lt_u(least, v128.load(HALF_TWICE_LEAST)),
    i16x8.ge_u(most, v128.load(HALF_TWICE_TOP)),
  );
}

/**
 * Four f32 to the nearest halves (ties to even) in lanes 0 to 3 of i16; what is beyond 65504, infinity too, becomes
 * 65504, NaN stays NaN. Below 2^-14 the sum with 1/2, whose last bit is 2^-24, rounds.
 */
// @ts-ignore: decorator
@inline export function toHalves(x: v128): v128 {
  const sign = v128.and(x, v128.load(SIGN));
  const size = v128.xor(x, sign);
  const kept = f32x4.pmin(size, v128.load(HALF_TOP));
  const odd = v128.and(i32x4.shr_u(kept, 13), i32x4.splat(1));
  const rounded = i32x4.add(i32x4.sub(kept, v128.load(HALF_REBIAS)), i32x4.add(odd, i32x4.splat(0xfff)));
  const normal = i32x4.shr_u(rounded, 13);
  const half = f32x4.splat(0.5);
  const small = i32x4.sub(f32x4.add(kept, half), half);
  const found = v128.bitselect(small, normal, f32x4.lt(kept, v128.load(HALF_LEAST)));
  const number = v128.bitselect(i32x4.splat(0x7e00), found, f32x4.ne(x, x));
  const signed = v128.or(number, i32x4.shr_u(sign, 16));
  return i16x8.narrow_i32x4_u(signed, signed);
}

/** f16 [count] at `from` to f32 [count rounded up to 4] at `to`; reads up to 6 bytes past the end. */
export function halvesToFloats(from: usize, count: i32, to: usize): void {
  let i = 0;
  for (; i + 16 <= count; i += 16) {
    const a = v128.load(from), b = v128.load(from, 16);
    if (v128.any_true(anyNotNormal(a, b, a, b))) break;
    eightNormal(a, to);
    eightNormal(b, to + 32);
    from += 32;
    to += 64;
  }
  for (; i < count; i += 4) {
    v128.store(to, halves(v128.load16x4_s(from)));
    from += 8;
    to += 16;
  }
}

// @ts-ignore: decorator
@inline function eightNormal(h: v128, to: usize): void {
  v128.store(to, normalHalves(i32x4.extend_low_i16x8_s(h)));
  v128.store(to, normalHalves(i32x4.extend_high_i16x8_s(h)), 16);
}

/**
 * exp of four lanes, relative error about 1e-7 (Cephes: x = n ln 2 + r, a polynomial of degree 6 in r).
 * Below -87.3 the result is 0, above 88.3 it saturates; NaN stays NaN.
 */
// @ts-ignore: decorator
@inline export function exp4(x: v128): v128 {
  const tiny = f32x4.lt(x, v128.load(EXP));
  const bounded = f32x4.min(f32x4.max(x, v128.load(EXP)), v128.load(EXP, 16));
  const n = f32x4.nearest(f32x4.mul(bounded, v128.load(EXP, 32)));
  let r = f32x4.sub(bounded, f32x4.mul(n, v128.load(EXP, 48)));
  r = f32x4.sub(r, f32x4.mul(n, v128.load(EXP, 64)));
  let p = v128.load(EXP, 80);
  p = f32x4.add(f32x4.mul(p, r), v128.load(EXP, 96));
  p = f32x4.add(f32x4.mul(p, r), v128.load(EXP, 112));
  p = f32x4.add(f32x4.mul(p, r), v128.load(EXP, 128));
  p = f32x4.add(f32x4.mul(p, r), v128.load(EXP, 144));
  p = f32x4.add(f32x4.mul(p, r), v128.load(EXP, 160));
  p = f32x4.add(f32x4.add(f32x4.mul(p, f32x4.mul(r, r)), r), v128.load(EXP, 176));
  const power = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), v128.load(EXP, 192)), 23);
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
