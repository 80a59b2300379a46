/** What the rotation of activations means: its matrix, entry by entry. */
import { rotationBlock, rotationSign } from "../../src/base/rotation.ts";

/** float64 [cols, cols]: rotate(x) = R x. */
export function rotationMatrix(cols: number): Float64Array {
  const block = rotationBlock(cols), out = new Float64Array(cols * cols);
  for (let i = 0; i < cols; i++) {
    const first = i - i % block;
    for (let j = first; j < first + block; j++) {
      let odd = 0;
      for (let both = (i - first) & (j - first); both !== 0; both &= both - 1) odd ^= 1;
      out[i * cols + j] = (odd ? -1 : 1) * rotationSign(j) / Math.sqrt(block);
    }
  }
  return out;
}
