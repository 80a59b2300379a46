/** How sure a corpus score is: resampling of sentences (Koehn 2004). */
import { type Metric, sumCounts } from "./contract.ts";

export const SAMPLES = 1000;
const SEED = 12345;

/** A score and the bounds that 95 % of the resampled corpora lie within. */
export interface Interval {
  readonly score: number;
  readonly low: number;
  readonly high: number;
}

/** The score of a corpus of per-sentence counts, with its interval. Equal inputs give equal bounds. */
export function interval(metric: Metric, counts: readonly Float64Array[]): Interval {
  const scores = samples(counts.length).map((rows) => metric.score(sumCounts(counts, rows)));
  scores.sort((a, b) => a - b);
  const at = (share: number) => scores[Math.round(share * (scores.length - 1))]!;
  return { score: metric.score(sumCounts(counts)), low: at(0.025), high: at(0.975) };
}

/**
 * Probability that the difference of two systems on the same sentences is chance (paired bootstrap as in
 * sacrebleu: how often the resampled difference, centred, is at least the one observed).
 */
export function pairedP(
  metric: Metric,
  ours: readonly Float64Array[],
  theirs: readonly Float64Array[],
): number {
  if (ours.length !== theirs.length) {
    throw new RangeError(`cannot pair ${ours.length} sentences with ${theirs.length}`);
  }
  const difference = (rows?: Uint32Array) =>
    metric.score(sumCounts(ours, rows)) - metric.score(sumCounts(theirs, rows));
  const observed = Math.abs(difference());
  const found = samples(ours.length).map(difference);
  const mean = found.reduce((a, b) => a + b, 0) / found.length;
  const reached = found.filter((d) => Math.abs(d - mean) >= observed).length;
  return (reached + 1) / (found.length + 1);
}

/**
 * The difference of two systems' mean score over several test sets, with the bounds of 95 % of the resampled
 * differences; each set is resampled by itself.
 */
export function resampled(
  sets: readonly { ours: readonly Float64Array[]; theirs: readonly Float64Array[] }[],
  metric: Metric,
): { value: number; low: number; high: number } {
  const rows = sets.map(({ ours }) => samples(ours.length));
  const mean = (sample?: number) =>
    sets.reduce((sum, { ours, theirs }, s) => {
      const chosen = sample === undefined ? undefined : rows[s]![sample];
      const gain = metric.score(sumCounts(ours, chosen)) - metric.score(sumCounts(theirs, chosen));
      return sum + gain / sets.length;
    }, 0);
  const found = Array.from({ length: SAMPLES }, (_, i) => mean(i)).sort((a, b) => a - b);
  const at = (share: number) => found[Math.round(share * (SAMPLES - 1))]!;
  return { value: mean(), low: at(0.025), high: at(0.975) };
}

/** The same resampled rows for every metric and system of n sentences. */
function samples(n: number): Uint32Array[] {
  const next = generator(SEED);
  return Array.from(
    { length: n === 0 ? 0 : SAMPLES },
    () => Uint32Array.from({ length: n }, () => Math.floor(next() * n)),
  );
}

/** Marsaglia's xorshift32 as numbers in [0, 1). */
function generator(seed: number): () => number {
  let x = seed;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
}
