/** Packing of codes into the lane layout of src/base/layout.ts, a row at a time, and unpacking. */
import type { CodeBits } from "../base/layout.ts";

/**
 * Packs one row of codes, one a byte, into its u32 words: code 4s + lane of a unit goes to word `lane` at bit
 * `bits * s`. Four codes of one step are read as one u32, so both arrays are little-endian views.
 *
 * @param codes [colsPadded / 4] u32 view of the row's codes, one code a byte; padded codes are 0
 * @param words [rowBytes / 4] u32 words of the row, overwritten
 */
export function packRow(codes: Uint32Array, words: Uint32Array, bits: CodeBits): void {
  if (bits === 3) return packThree(codes, words);
  const steps = 32 / bits;
  const units = codes.length / steps;
  for (let unit = 0, at = 0; unit < units; unit++) {
    let w0 = 0, w1 = 0, w2 = 0, w3 = 0;
    for (let step = 0, shift = 0; step < steps; step++, shift += bits) {
      const four = codes[at++]!;
      w0 |= (four & 0xff) << shift;
      w1 |= (four >>> 8 & 0xff) << shift;
      w2 |= (four >>> 16 & 0xff) << shift;
      w3 |= (four >>> 24) << shift;
    }
    const word = unit * 4;
    words[word] = w0;
    words[word + 1] = w1;
    words[word + 2] = w2;
    words[word + 3] = w3;
  }
}

/** The inverse of packRow: one code a byte, padding included. */
export function unpackRow(words: Uint32Array, codes: Uint8Array, bits: CodeBits): void {
  if (bits === 3) return unpackThree(words, codes);
  const steps = 32 / bits, mask = (1 << bits) - 1;
  for (let word = 0; word < words.length; word++) {
    const lane = word & 3, base = (word >> 2) * steps * 4 + lane;
    const packed = words[word]!;
    for (let step = 0; step < steps; step++) {
      codes[base + step * 4] = packed >>> (step * bits) & mask;
    }
  }
}

/** 128 weights at a time: two units of low bits, one of high bits. */
function packThree(codes: Uint32Array, words: Uint32Array): void {
  words.fill(0);
  for (let at = 0, block = 0; at < codes.length; at += 32, block += 12) {
    for (let i = 0; i < 32; i++) {
      const four = codes[at + i]!, half = i >> 4, shift = 2 * (i & 15);
      for (let lane = 0; lane < 4; lane++) {
        const code = four >>> 8 * lane & 7;
        words[block + 4 * half + lane]! |= (code & 3) << shift;
        words[block + 8 + lane]! |= (code >> 2) << shift + half;
      }
    }
  }
}

function unpackThree(words: Uint32Array, codes: Uint8Array): void {
  for (let block = 0, at = 0; block < words.length; block += 12) {
    for (let i = 0; i < 32; i++) {
      const half = i >> 4, shift = 2 * (i & 15);
      for (let lane = 0; lane < 4; lane++) {
        const low = words[block + 4 * half + lane]! >>> shift & 3;
        codes[at++] = low | (words[block + 8 + lane]! >>> shift + half & 1) << 2;
      }
    }
  }
}
