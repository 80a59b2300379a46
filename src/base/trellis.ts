/**
 * The trellis code of 2-bit weights: a weight's level is picked by its own code and by those of the three weights above
 * it in its column, so that 2 bits choose among 16 levels. Per weight it errs by 0.085 of a Gaussian's variance, where
 * four levels err by 0.1175 (Max 1960) and no code of 2 bits by less than 0.0625.
 *
 * level = LEVELS[code | (a ^ swap(b ^ c)) << 2], where a, b, c are the codes one, two and three rows above (0 beyond
 * the first row) and swap exchanges the two bits of a code. On packed codes that is a few operations for 64 weights at
 * once, and one byte shuffle looks up 16: any subset of a matrix's rows can be decoded with the three before it.
 */

/** Rows above that a code depends on. */
export const TRELLIS_MEMORY = 3;

/**
 * Found by Lloyd's iteration with Viterbi's codes of a Gaussian; LEVELS[15 - i] = -LEVELS[i]. Whole numbers of 7 bits:
 * level + TRELLIS_TOP is a byte whose top bit is free, so that kernels leave it where it lies in its word.
 */
// deno-fmt-ignore
export const TRELLIS_LEVELS: readonly number[] =
  [-63, -32, -6, 16, -44, -18, 3, 27, -27, -3, 18, 44, -16, 6, 32, 63];
export const TRELLIS_TOP = 63;

/** The level's size that one standard deviation of the weights has. */
export const TRELLIS_UNIT = 28.9;

/** The two bits of a code, exchanged. */
function swap(code: number): number {
  return code >> 1 | code << 1 & 2;
}

/** The upper two bits of a level's index, from the codes one, two and three rows above. */
export function trellisUpper(one: number, two: number, three: number): number {
  return one ^ swap(two ^ three);
}
