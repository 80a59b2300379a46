/** What attention means, in float64: a softmax over a row's own positions. */
import { F16_MAX, roundToHalf } from "../../src/quant/half.ts";
import { type KvBits, PAGE_TOKENS } from "../../src/backend/contract.ts";

/** How scores become and which of them count; as `Scores` and `PagedAttentionOp` have it. */
export interface ScoresTwin {
  /** head_dim ^ -0.5 unless given. */
  scale?: number;
  /** What a score gains by position and head. */
  bias?: (i: number, head: number) => number;
  /** As many as there are query heads unless given. */
  keyHeads?: number;
  /** The last positions that count; all unless given. */
  window?: number | undefined;
  /** One more logit a head. */
  sinks?: ArrayLike<number> | undefined;
}

/** [d] of one query over `length` positions; `key` and `value` give element c of position i: [keyHeads * head_dim]. */
export function attentionTwin(
  query: ArrayLike<number>,
  heads: number,
  length: number,
  key: (i: number, c: number) => number,
  value: (i: number, c: number) => number,
  scores: ScoresTwin = {},
): Float64Array {
  const d = query.length, headDim = d / heads, out = new Float64Array(d);
  const { scale = 1 / Math.sqrt(headDim), bias = () => 0, keyHeads = heads } = scores;
  const first = Math.max(0, length - (scores.window ?? length));
  const positions = Array.from({ length: length - first }, (_, i) => first + i);
  for (let h = 0; h < heads; h++) {
    const base = h * headDim, keyBase = Math.floor(h / (heads / keyHeads)) * headDim;
    const found = positions.map((i) => {
      let s = 0;
      for (let c = 0; c < headDim; c++) s += query[base + c]! * key(i, keyBase + c);
      return s * scale + bias(i, h);
    });
    const sink = scores.sinks?.[h] ?? -Infinity, top = Math.max(sink, ...found);
    const weights = found.map((s) => Math.exp(s - top));
    const sum = weights.reduce((a, b) => a + b, Math.exp(sink - top));
    for (let c = 0; c < headDim; c++) {
      positions.forEach((i, n) => out[base + c]! += weights[n]! / sum * value(i, keyBase + c));
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
