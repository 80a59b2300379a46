/**
 * Scales of least squared error. Each function looks at weights[from, to) of one row and answers a scale that
 * is not yet rounded to f16; errors are sums in float64.
 */

/** The largest magnitude among weights[from, to). */
export function absMax(weights: Float32Array, from: number, to: number): number {
  let max = 0;
  for (let i = from; i < to; i++) {
    const a = Math.abs(weights[i]!);
    if (a > max) max = a;
  }
  return max;
}

/**
 * The best scale for levels {+-0.5, +-1.5}, exactly. However the magnitudes are sorted, the best codes give 1.5
 * to the k largest and 0.5 to the rest for some k; with A = sum |w| q and B = sum q^2 the best scale for a k is
 * A / B, and its error sum w^2 - A^2 / B. So one pass over the sorted magnitudes tries every k.
 *
 * @param sorted scratch of exactly to - from elements, overwritten
 */
export function scaleOfFourLevels(
  weights: Float32Array,
  from: number,
  sorted: Float32Array,
): number {
  const n = sorted.length;
  let total = 0;
  for (let i = 0; i < n; i++) {
    const a = Math.abs(weights[from + i]!);
    sorted[i] = a;
    total += a;
  }
  sorted.sort();
  let dot = 0.5 * total, norm = 0.25 * n;
  let bestDot = dot, bestNorm = norm, best = dot * dot / norm;
  for (let i = n - 1; i >= 0; i--) {
    dot += sorted[i]!;
    norm += 2;
    const gain = dot * dot / norm;
    if (gain > best) {
      best = gain;
      bestDot = dot;
      bestNorm = norm;
    }
  }
  return bestDot / bestNorm;
}

/** Shares of the full range at which the search starts; a Gaussian channel of 4096 is best near 0.7 at 4 bits. */
const STARTS = [1, 0.93, 0.86, 0.79, 0.72, 0.65, 0.55, 0.45];
const REFINEMENTS = 3;

/**
 * A scale of nearly least error for the even levels -2^(b-1) .. 2^(b-1) - 1. The weight of largest magnitude
 * takes the lowest code, -2^(b-1), which has no positive twin; so the scale is negative where that weight is
 * positive. A coarse search over clipped ranges, then rounds of codes-then-scale from the best.
 */
export function scaleOfEvenLevels(
  weights: Float32Array,
  from: number,
  to: number,
  bits: 4 | 8,
): number {
  let extreme = 0;
  for (let i = from; i < to; i++) {
    if (Math.abs(weights[i]!) > Math.abs(extreme)) extreme = weights[i]!;
  }
  if (extreme === 0) return 0;
  const zero = 2 ** (bits - 1);
  const full = -extreme / zero;
  let scale = full, best = -1;
  // Clipping never pays at 8 bits unless a channel has an extreme outlier, which the refinement finds too.
  const starts = bits === 8 ? 3 : STARTS.length;
  for (let s = 0; s < starts; s++) {
    const tried = full * STARTS[s]!;
    if (fit(weights, from, to, tried, zero) && fitGain > best) {
      best = fitGain;
      scale = fitScale;
    }
  }
  for (let round = 0; round < REFINEMENTS; round++) {
    if (!fit(weights, from, to, scale, zero) || fitGain <= best) break;
    best = fitGain;
    scale = fitScale;
  }
  return scale;
}

/** Results of fit: the scale of least error for its codes, and how much squared error it takes away. */
let fitScale = 0, fitGain = 0;

/** Codes by `scale`, then the best scale for these codes; false where all codes are zero. */
function fit(
  weights: Float32Array,
  from: number,
  to: number,
  scale: number,
  zero: number,
): boolean {
  const inverse = 1 / scale, high = zero - 1;
  let dot = 0, norm = 0;
  for (let i = from; i < to; i++) {
    const w = weights[i]!;
    let q = Math.floor(w * inverse + 0.5);
    q = q < -zero ? -zero : q > high ? high : q;
    dot += w * q;
    norm += q * q;
  }
  if (norm === 0) return false;
  fitScale = dot / norm;
  fitGain = dot * dot / norm;
  return true;
}
