/**
 * MXFP4 (OCP Microscaling Formats 1.0: E2M1 with an E8M0 scale for each 32): decoded from a checkpoint's bytes, and
 * written again as a codebook that loses nothing.
 */

/** Weights that share a scale. */
export const MXFP4_GROUP = 32;

/** The levels, doubled so that they are whole. The last one fills the codebook up: no weight has it. */
export const MXFP4_LEVELS: readonly number[] = [
  ...[-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12],
  16,
];
const TOP = 12;
/** Scales are f16: the least power of two that it holds; the largest is refused where it is written. */
const LEAST_SCALE = 2 ** -24;

/** By code. Of both zeros one is kept. */
const VALUES = Float64Array.of(0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6);
/** By exponent, of a bias of 127; 255 stands for no number. */
const POWERS = Float64Array.from({ length: 256 }, (_, e) => e === 255 ? NaN : 2 ** (e - 127));
/** Place among the levels of a whole number, counted from -12; -1 for what is none. */
const CODES = Int8Array.from({ length: 2 * TOP + 1 }, (_, i) => MXFP4_LEVELS.indexOf(i - TOP));

/**
 * Decodes to f32, exactly; what is beyond its range becomes Inf.
 *
 * @param blocks u8 [groups, 16]: two codes a byte, the lower first
 * @param scales u8 [groups]: exponents
 * @param out f32 [groups, 32], overwritten
 */
export function decodeMxfp4(blocks: Uint8Array, scales: Uint8Array, out: Float32Array): void {
  for (let g = 0, from = 0, at = 0; g < scales.length; g++) {
    const scale = POWERS[scales[g]!]!;
    for (const end = from + MXFP4_GROUP / 2; from < end; from++) {
      const byte = blocks[from]!;
      out[at++] = VALUES[byte & 15]! * scale;
      out[at++] = VALUES[byte >> 4]! * scale;
    }
  }
}

/**
 * Codes of a group that MXFP4 can say, into `codes`, and its scale: the least power of two that f16 holds and of which
 * every weight is a level. NaN where there is none.
 */
export function mxfp4Group(weights: Float32Array, codes: Uint8Array): number {
  let most = 0;
  for (let i = 0; i < weights.length; i++) most = Math.max(most, Math.abs(weights[i]!));
  // The largest weight is a power of two, or three halves of one: its level is then 8 or 12. With a larger scale, other
  // weights that are levels stay levels; with a smaller one they do not fit.
  const power = 2 ** Math.floor(Math.log2(most));
  const scale = most === 0 ? 0 : Math.max(LEAST_SCALE, power / 8);
  // Of powers of two the product with the inverse is the quotient.
  const inverse = scale === 0 ? 0 : 1 / scale;
  for (let i = 0; i < weights.length; i++) {
    const code = CODES[weights[i]! * inverse + TOP] ?? -1;
    if (code < 0) return NaN;
    codes[i] = code;
  }
  return scale;
}
