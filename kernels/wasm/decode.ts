// Codes of one weight row to f32, for the products that decode before they multiply. Codes of 2, 3, 4 bits without a
// codebook and the levels of a trellis stay where they lie in their word (stage.ts prescales for that); levels of a
// codebook come out as they are.
import { BYTES_7, MASKS_2, MASKS_3, MASKS_4, MASKS_8, MIDDLES_8 } from "./constants";
import { halves } from "./simd";
import { even, high, low, odd, upperOf } from "./trellis";

export const F32: i32 = 0;
export const F16: i32 = 1;
export const TWO: i32 = 2;
export const LEVELS_2: i32 = 3;
export const FOUR: i32 = 4;
export const EIGHT: i32 = 5;
export const THREE: i32 = 6;
export const LEVELS_3: i32 = 7;
export const LEVELS_4: i32 = 8;
export const TRELLIS: i32 = 9;

/**
 * Columns c .. c + columns - 1 of a row into every fourth vector from `to` on; c and columns are multiples of what
 * rows are padded to. levels: 16 bytes, signed but for a trellis. A trellis takes the rows above, too: rowBytes apart,
 * and as many as `above` says, of three.
 */
export function decode(
  kind: i32, row: usize, c: i32, columns: i32, levels: usize, to: usize, rowBytes: i32, above: i32,
): void {
  if (kind == F32) return decodeFloats(row + (<usize>c << 2), columns, to);
  if (kind == F16) return decodeHalves(row + (<usize>c << 1), columns, to);
  if (kind == TWO) return decodeTwo(row + (<usize>c >> 2), columns, to);
  if (kind == LEVELS_2) return decodeLevels2(row + (<usize>c >> 2), columns, levels, to);
  if (kind == FOUR) return decodeFour(row + (<usize>c >> 1), columns, to);
  if (kind == EIGHT) return decodeEight(row + <usize>c, columns, to);
  if (kind == THREE) return decodeThree(row + (<usize>c >> 3) * 3, columns, to);
  if (kind == LEVELS_3) return decodeLevels3(row + (<usize>c >> 3) * 3, columns, levels, to);
  if (kind == TRELLIS) return decodeTrellis(row + (<usize>c >> 2), columns, levels, to, rowBytes, above);
  decodeLevels4(row + (<usize>c >> 1), columns, levels, to);
}

function decodeFloats(from: usize, columns: i32, to: usize): void {
  for (let c = 0; c < columns; c += 4) {
    v128.store(to, v128.load(from));
    from += 16;
    to += 64;
  }
}

function decodeHalves(from: usize, columns: i32, to: usize): void {
  for (let c = 0; c < columns; c += 4) {
    v128.store(to, halves(v128.load16x4_s(from)));
    from += 8;
    to += 64;
  }
}

// @ts-ignore: decorator
@inline function code(unit: v128, mask: v128): v128 {
  return f32x4.convert_i32x4_s(v128.and(unit, mask));
}

function decodeTwo(from: usize, columns: i32, to: usize): void {
  for (let c = 0; c < columns; c += 64) {
    let unit = v128.load(from);
    from += 16;
    for (let half = 0; half < 2; half++) {
      v128.store(to, code(unit, v128.load(MASKS_2)));
      v128.store(to, code(unit, v128.load(MASKS_2, 16)), 64);
      v128.store(to, code(unit, v128.load(MASKS_2, 32)), 128);
      v128.store(to, code(unit, v128.load(MASKS_2, 48)), 192);
      v128.store(to, code(unit, v128.load(MASKS_2, 64)), 256);
      v128.store(to, code(unit, v128.load(MASKS_2, 80)), 320);
      v128.store(to, code(unit, v128.load(MASKS_2, 96)), 384);
      v128.store(to, code(unit, v128.load(MASKS_2, 112)), 448);
      unit = i32x4.shr_u(unit, 16);
      to += 512;
    }
  }
}

/**
 * Eight steps of 3-bit codes: low bits at 2t of `low`, high bits at 2t + 2 of `high`. Even and odd steps apart leave
 * room for the high bit right above each code's low ones, so three operations a step remain.
 */
// @ts-ignore: decorator
@inline function eightOfThree(low: v128, high: v128, to: usize): void {
  const even = v128.or(
    v128.and(low, i32x4.splat(0x3333)),
    v128.and(high, i32x4.splat(0x4444)),
  );
  const odd = v128.or(
    v128.and(low, i32x4.splat(0xcccc)),
    v128.and(high, i32x4.splat(0x11110)),
  );
  v128.store(to, code(even, v128.load(MASKS_3)));
  v128.store(to, code(odd, v128.load(MASKS_3, 16)), 64);
  v128.store(to, code(even, v128.load(MASKS_3, 32)), 128);
  v128.store(to, code(odd, v128.load(MASKS_3, 48)), 192);
  v128.store(to, code(even, v128.load(MASKS_3, 64)), 256);
  v128.store(to, code(odd, v128.load(MASKS_3, 80)), 320);
  v128.store(to, code(even, v128.load(MASKS_3, 96)), 384);
  v128.store(to, code(odd, v128.load(MASKS_3, 112)), 448);
}

function decodeThree(from: usize, columns: i32, to: usize): void {
  for (let c = 0; c < columns; c += 128) {
    let high = v128.load(from, 32);
    for (let half: usize = 0; half < 32; half += 16) {
      const low = v128.load(from + half);
      eightOfThree(low, i32x4.shl(high, 2), to);
      eightOfThree(i32x4.shr_u(low, 16), i32x4.shr_u(high, 14), to + 512);
      high = i32x4.shr_u(high, 1);
      to += 1024;
    }
    from += 48;
  }
}

function decodeFour(from: usize, columns: i32, to: usize): void {
  for (let c = 0; c < columns; c += 32) {
    let unit = v128.load(from);
    from += 16;
    for (let half = 0; half < 2; half++) {
      v128.store(to, code(unit, v128.load(MASKS_4)));
      v128.store(to, code(unit, v128.load(MASKS_4, 16)), 64);
      v128.store(to, code(unit, v128.load(MASKS_4, 32)), 128);
      v128.store(to, code(unit, v128.load(MASKS_4, 48)), 192);
      unit = i32x4.shr_u(unit, 16);
      to += 256;
    }
  }
}

// @ts-ignore: decorator
@inline function signedByte(unit: v128, mask: v128, middle: v128): v128 {
  return f32x4.convert_i32x4_s(i32x4.sub(v128.and(unit, mask), middle));
}

function decodeEight(from: usize, columns: i32, to: usize): void {
  for (let c = 0; c < columns; c += 16) {
    const unit = v128.load(from);
    from += 16;
    v128.store(to, signedByte(unit, v128.load(MASKS_8), v128.load(MIDDLES_8)));
    v128.store(to, signedByte(unit, v128.load(MASKS_8, 16), v128.load(MIDDLES_8, 16)), 64);
    v128.store(to, signedByte(unit, v128.load(MASKS_8, 32), v128.load(MIDDLES_8, 32)), 128);
    v128.store(to, signedByte(unit, v128.load(MASKS_8, 48), v128.load(MIDDLES_8, 48)), 192);
    to += 256;
  }
}

/** Sixteen codes, one a byte, through the table; byte k of each lane goes to the k-th of four steps, `apart` bytes apart. */
// @ts-ignore: decorator
@inline function lookUp(table: v128, codes: v128, to: usize, apart: usize): void {
  const levels = i8x16.swizzle(table, codes);
  v128.store(to, f32x4.convert_i32x4_s(i32x4.shr_s(i32x4.shl(levels, 24), 24)));
  v128.store(to + apart, f32x4.convert_i32x4_s(i32x4.shr_s(i32x4.shl(levels, 16), 24)));
  v128.store(to + 2 * apart, f32x4.convert_i32x4_s(i32x4.shr_s(i32x4.shl(levels, 8), 24)));
  v128.store(to + 3 * apart, f32x4.convert_i32x4_s(i32x4.shr_s(levels, 24)));
}

function decodeLevels2(from: usize, columns: i32, levels: usize, to: usize): void {
  const table = v128.load(levels), mask = i32x4.splat(0x03030303);
  for (let c = 0; c < columns; c += 64) {
    const unit = v128.load(from);
    from += 16;
    lookUp(table, v128.and(unit, mask), to, 256);
    lookUp(table, v128.and(i32x4.shr_u(unit, 2), mask), to + 64, 256);
    lookUp(table, v128.and(i32x4.shr_u(unit, 4), mask), to + 128, 256);
    lookUp(table, v128.and(i32x4.shr_u(unit, 6), mask), to + 192, 256);
    to += 1024;
  }
}

function decodeLevels3(from: usize, columns: i32, levels: usize, to: usize): void {
  const table = v128.load(levels), mask = i32x4.splat(0x03030303), top = i32x4.splat(0x04040404);
  for (let c = 0; c < columns; c += 128) {
    const bits = v128.load(from, 32);
    for (let half = 0; half < 2; half++) {
      let low = v128.load(from + (<usize>half << 4)), high = i32x4.shl(bits, 2 - half);
      for (let j = 0; j < 4; j++) {
        lookUp(table, v128.or(v128.and(low, mask), v128.and(high, top)), to, 256);
        low = i32x4.shr_u(low, 2);
        high = j == 0 ? i32x4.shr_u(bits, half) : i32x4.shr_u(high, 2);
        to += 64;
      }
      to += 768;
    }
    from += 48;
  }
}

function decodeLevels4(from: usize, columns: i32, levels: usize, to: usize): void {
  const table = v128.load(levels), mask = i32x4.splat(0x0f0f0f0f);
  for (let c = 0; c < columns; c += 32) {
    const unit = v128.load(from);
    from += 16;
    lookUp(table, v128.and(unit, mask), to, 128);
    lookUp(table, v128.and(i32x4.shr_u(unit, 4), mask), to + 64, 128);
    to += 512;
  }
}

/** Bytes of 7 bits where they lie in their word; byte k of each lane goes to the k-th of four steps. */
// @ts-ignore: decorator
@inline function bytesInPlace(bytes: v128, to: usize): void {
  v128.store(to, code(bytes, v128.load(BYTES_7)));
  v128.store(to + 256, code(bytes, v128.load(BYTES_7, 16)));
  v128.store(to + 512, code(bytes, v128.load(BYTES_7, 32)));
  v128.store(to + 768, code(bytes, v128.load(BYTES_7, 48)));
}

function decodeTrellis(
  from: usize, columns: i32, levels: usize, to: usize, rowBytes: i32, above: i32,
): void {
  const table = v128.load(levels), none = i32x4.splat(0);
  for (let c = 0; c < columns; c += 64) {
    const unit = v128.load(from);
    const upper = upperOf(
      above > 0 ? v128.load(from - rowBytes) : none,
      above > 1 ? v128.load(from - 2 * rowBytes) : none,
      above > 2 ? v128.load(from - 3 * rowBytes) : none,
    );
    const e = even(unit, upper), o = odd(unit, upper);
    bytesInPlace(low(table, e), to);
    bytesInPlace(low(table, o), to + 64);
    bytesInPlace(high(table, e), to + 128);
    bytesInPlace(high(table, o), to + 192);
    from += 16;
    to += 1024;
  }
}
