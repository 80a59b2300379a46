/** What attention means, in float64: a softmax over a row's own positions. */
import { F16_MAX, roundToHalf } from "../../../quant/half.ts";
import { type KvBits, PAGE_TOKENS } from "../../contract.ts";

/**
 * [d] of one query over `length` positions; `key` and `value` give element c of position i. Scores are divided by
 * sqrt(head_dim) unless `scale` is given; `bias` is what a score gains by position and head.
 */
export function attentionTwin(
  query: ArrayLike<number>,
  heads: number,
  length: number,
  key: (i: number, c: number) => number,
  value: (i: number, c: number) => number,
  scores: { scale?: number; bias?: (i: number, head: number) => number } = {},
): Float64Array {
  const d = query.length, headDim = d / heads, out = new Float64Array(d);
  const { scale = 1 / Math.sqrt(headDim), bias = () => 0 } = scores;
  for (let h = 0; h < heads; h++) {
    const base = h * headDim;
    const found = Array.from({ length }, (_, i) => {
      let s = 0;
      for (let c = base; c < base + headDim; c++) s += query[c]! * key(i, c);
      return s * scale + bias(i, h);
    });
    const top = Math.max(...found);
    const weights = found.map((s) => Math.exp(s - top));
    const sum = weights.reduce((a, b) => a + b, 0);
    for (let c = base; c < base + headDim; c++) {
      for (let i = 0; i < length; i++) out[c]! += weights[i]! / sum * value(i, c);
    }
  }
  return out;
}

/** What a page keeps of a number: as f16 the nearest half, ties to even, and never an infinity. */
export function keptTwin(value: number, bits: KvBits): number {
  if (bits === 32) return value;
  return roundToHalf(Math.max(-F16_MAX, Math.min(F16_MAX, value)));
}

/** Index of element c of position i's key in a paged layer; its value lies PAGE_TOKENS * d further. */
export function keyIndex(table: ArrayLike<number>, i: number, c: number, d: number): number {
  const page = table[Math.floor(i / PAGE_TOKENS)]!;
  return page * PAGE_TOKENS * 2 * d + (i % PAGE_TOKENS) * d + c;
}
