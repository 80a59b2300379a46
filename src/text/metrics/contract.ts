/** What a corpus metric is: counts of each sentence that add up, and a score of their sum. */

/** A metric over one reference a sentence, as sacrebleu computes it. */
export interface Metric {
  /** "BLEU", "chrF++". */
  readonly name: string;
  /** sacrebleu's signature of the same settings, without its version. */
  readonly signature: string;
  /** Counts of one sentence; vectors of equal length that may be summed. */
  counts(hypothesis: string, reference: string): Float64Array;
  /** The score, 0 to 100, of summed counts. */
  score(counts: Float64Array): number;
}

/** The sum of the counts of `rows` (all where left out; a row may come more than once). */
export function sumCounts(
  counts: readonly Float64Array[],
  rows?: Uint32Array,
): Float64Array {
  const sum = new Float64Array(counts[0]?.length ?? 0);
  const n = rows?.length ?? counts.length;
  for (let r = 0; r < n; r++) {
    const one = counts[rows === undefined ? r : rows[r]!]!;
    for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + one[i]!;
  }
  return sum;
}
