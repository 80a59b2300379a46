/** What routing, a wave of experts, their combination and the choice of tokens mean, in float64. */

/** Indices of the `k` greatest, best first; equal ones in order of index. */
function topK(values: ArrayLike<number>, k: number): number[] {
  const order = Array.from({ length: values.length }, (_, i) => i);
  return order.sort((a, b) => values[b]! - values[a]! || a - b).slice(0, k);
}

/** log of the sum of exponentials. */
function logSumExp(values: ArrayLike<number>): number {
  let top = -Infinity, sum = 0;
  for (let i = 0; i < values.length; i++) top = Math.max(top, values[i]!);
  for (let i = 0; i < values.length; i++) sum += Math.exp(values[i]! - top);
  return top + Math.log(sum);
}

/** The chosen experts of one row of logits and their weights, in rank order. */
export function routerTwin(
  logits: ArrayLike<number>,
  k: number,
  weighting: "share" | "probability",
): { experts: number[]; weights: number[] } {
  const experts = topK(logits, k), whole = logSumExp(logits);
  const p = experts.map((e) => Math.exp(logits[e]! - whole));
  const chosen = weighting === "share" ? p.reduce((a, b) => a + b, 0) : 1;
  return { experts, weights: p.map((value) => value / chosen) };
}

/** The `candidates` best of one row of logits, and their log probabilities. */
export function vocabTwin(
  logits: ArrayLike<number>,
  candidates: number,
): { ids: number[]; logProbs: number[] } {
  const ids = topK(logits, candidates), whole = logSumExp(logits);
  return { ids, logProbs: ids.map((id) => logits[id]! - whole) };
}

/**
 * What looking choices up means: places of each live row's experts, and the rows whose group misses one. Rows of a
 * group are live together.
 */
export function lookUpTwin(of: {
  experts: ArrayLike<number>;
  topK: number;
  table: ArrayLike<number>;
  live: ArrayLike<number>;
  groupStarts: ArrayLike<number>;
  groupLengths: ArrayLike<number>;
}): { places: (number | undefined)[]; stopped: boolean[] } {
  const { topK } = of, rows = of.live.length;
  const places = Array.from(
    { length: rows * topK },
    (_, p) => of.live[Math.floor(p / topK)] === 0 ? undefined : of.table[of.experts[p]!]!,
  );
  const stopped = Array.from({ length: rows }, (_, t) => {
    const from = of.groupStarts[t]! * topK, to = from + of.groupLengths[t]! * topK;
    return of.live[t] !== 0 && places.slice(from, to).some((p) => p! < 0);
  });
  return { places, stopped };
}

/** [d] = residual + scale * sum over rank of weights[rank] * outputs[rank] */
export function combineTwin(
  outputs: readonly ArrayLike<number>[],
  weights: ArrayLike<number>,
  scale: number,
  residual: ArrayLike<number>,
): Float64Array {
  return Float64Array.from({ length: residual.length }, (_, c) => {
    let sum = 0;
    for (let rank = 0; rank < outputs.length; rank++) sum += weights[rank]! * outputs[rank]![c]!;
    return residual[c]! + scale * sum;
  });
}
