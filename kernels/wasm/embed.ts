// Rows of an embedding table, dequantized, scaled, with their positions added.
import { halves } from "./simd";

// @ts-ignore: decorator
@inline function half(at: usize): f32 {
  return f32x4.extract_lane(halves(i32x4.splat(<i32>load<i16>(at))), 0);
}

// @ts-ignore: decorator
@inline function codeAt(row: usize, c: i32, bits: i32): u32 {
  const perUnit = 128 / bits;
  const i = c % perUnit;
  const word = load<u32>(row + (<usize>(c / perUnit * 4 + (i & 3)) << 2));
  return (word >> (bits * (i >> 2))) & ((1 << bits) - 1);
}

// @ts-ignore: decorator
@inline function codeOfThree(row: usize, c: i32): u32 {
  const from = row + <usize>(c >> 7) * 48;
  const high = load<u32>(from + 32 + (<usize>(c & 3) << 2)) >> (((c & 63) >> 2 << 1) + (c >> 6 & 1));
  return codeAt(from, c & 127, 2) | (high & 1) << 2;
}

/** Weight `c` of a row of codes of `bits` bits, before scale: code - zero, or levels[code] where levels is not 0. */
// @ts-ignore: decorator
@inline function unscaled(row: usize, c: i32, bits: i32, zero: f32, levels: usize): f32 {
  if (bits == 32) return load<f32>(row + (<usize>c << 2));
  if (bits == 16) return half(row + (<usize>c << 1));
  const code = bits == 3 ? codeOfThree(row, c) : codeAt(row, c, bits);
  return levels != 0 ? load<f32>(levels + (<usize>code << 2)) : <f32>code - zero;
}

/**
 * out[t] = table[ids[t]] * scale + positionTable[positions[t]] for t in rows.
 * ids, positions i32 [T]; table [vocab, d]; scales f16 [vocab, groups]; group: columns a scale (groups 0: none).
 */
export function embed(
  ids: usize, positions: usize, rows: usize, count: i32, w: usize, rowBytes: i32, bits: i32, zero: f32,
  levels: usize, scales: usize, groups: i32, group: i32, d: i32, scale: f32, positionTable: usize,
  out: usize,
): void {
  for (let m = 0; m < count; m++) {
    const t = <usize>load<i32>(rows + (<usize>m << 2));
    const id = <usize>load<i32>(ids + (t << 2));
    const row = w + id * <usize>rowBytes;
    const rowScales = scales + id * <usize>groups * 2;
    const position = positionTable + <usize>load<i32>(positions + (t << 2)) * <usize>d * 4;
    const to = out + t * <usize>d * 4;
    let s: f32 = 1;
    for (let c = 0; c < d; c++) {
      if (groups != 0 && c % group == 0) s = half(rowScales + (<usize>(c / group) << 1));
      const weight: f32 = unscaled(row, c, bits, zero, levels) * s;
      store<f32>(to + (<usize>c << 2), weight * scale + load<f32>(position + (<usize>c << 2)));
    }
  }
}
