/**
 * The rotation that makes weights Gaussian: signs by a hash of the column, then a Hadamard transform of each block of
 * columns. It is orthogonal, so W x = rotate(W) rotate(x), where each row of W and x itself are rotated alike.
 *
 * rotate(x)[i] = sum over j of the same block of (-1)^popcount(i & j) * sign(j) * x[j] / sqrt(block), with i and j
 * counted inside the block in the exponent. kernels/wasm/rotate.ts does the same in f32.
 */

/** A block is no longer than this: enough to mix, small enough for a workgroup's memory. */
const LONGEST_BLOCK = 1024;

/** The largest power of two that divides the width, at most 1024. */
export function rotationBlock(cols: number): number {
  return Math.min(LONGEST_BLOCK, cols & -cols);
}

/** 1 or -1 for a column. */
export function rotationSign(col: number): 1 | -1 {
  let h = Math.imul(col + 1, 0x9e3779b1);
  h ^= h >>> 15;
  h = Math.imul(h, 0x85ebca77);
  h ^= h >>> 13;
  return h & 1 ? -1 : 1;
}

/** Rotates values[at .. at + cols - 1] in place. */
export function rotate(values: Float32Array | Float64Array, at: number, cols: number): void {
  const norm = 1 / Math.sqrt(rotationBlock(cols));
  for (let i = 0; i < cols; i++) values[at + i]! *= rotationSign(i) * norm;
  hadamard(values, at, cols);
}

/** The inverse of `rotate`. */
export function unrotate(values: Float32Array | Float64Array, at: number, cols: number): void {
  hadamard(values, at, cols);
  const norm = 1 / Math.sqrt(rotationBlock(cols));
  for (let i = 0; i < cols; i++) values[at + i]! *= rotationSign(i) * norm;
}

/** Without its norm. */
function hadamard(values: Float32Array | Float64Array, at: number, cols: number): void {
  const block = rotationBlock(cols), end = at + cols;
  for (let stride = 1; stride < block; stride *= 2) {
    for (let from = at; from < end; from += 2 * stride) {
      for (let i = from; i < from + stride; i++) {
        const a = values[i]!, b = values[i + stride]!;
        values[i] = a + b;
        values[i + stride] = a - b;
      }
    }
  }
}
