/** Scales of least error for given codes, errors weighed by the inputs' second moments. */
import { roundToHalf } from "./half.ts";
import type { Hessian } from "./moments.ts";

/**
 * Of (w - w') H (w - w')' with w' = scale * level, by least squares: with one scale a row over all blocks of H, else
 * block by block. A scale that would be no number or turn every weight around stays.
 *
 * @param group columns a scale, 0 for the whole row
 * @param weights float64 [cols]
 * @param levels float64 [cols]
 * @param scales f16 values as numbers [groups], replaced
 */
export function leastScales(
  hessian: Hessian,
  group: number,
  weights: Float64Array,
  levels: Float64Array,
  scales: Float64Array,
): void {
  const whole = { dot: 0, norm: 0 };
  hessian.eachBlock((b, from, n) => {
    const h = hessian.blocks[b]!, span = group || n;
    const { gram, right } = normal(h, n, span, weights.subarray(from), levels.subarray(from));
    const count = right.length;
    if (group === 0) {
      whole.dot += right[0]!;
      whole.norm += gram[0]!;
      return;
    }
    const solved = solve(gram, right, count);
    for (let g = 0; g < count; g++) take(scales, from / group + g, solved?.[g]);
  });
  if (group === 0) take(scales, 0, whole.dot / whole.norm);
}

/** The normal equations of a block's scales. */
function normal(
  h: Float64Array,
  n: number,
  span: number,
  w: Float64Array,
  q: Float64Array,
): { gram: Float64Array; right: Float64Array } {
  const count = Math.ceil(n / span);
  const gram = new Float64Array(count * count), right = new Float64Array(count);
  for (let i = 0; i < n; i++) {
    const g = Math.floor(i / span), row = i * n;
    let dot = 0;
    for (let j = 0; j < n; j++) dot += h[row + j]! * w[j]!;
    right[g]! += q[i]! * dot;
    for (let other = 0; other < count; other++) {
      let sum = 0;
      for (let j = other * span, end = Math.min(j + span, n); j < end; j++) {
        sum += h[row + j]! * q[j]!;
      }
      gram[g * count + other]! += q[i]! * sum;
    }
  }
  return { gram, right };
}

/** A new scale, unless it would not be a number or would turn every weight around. */
function take(scales: Float64Array, at: number, value: number | undefined): void {
  if (value === undefined || !Number.isFinite(value)) return;
  if (value * scales[at]! > 0) scales[at] = roundToHalf(value);
}

/** Solves a small symmetric system by elimination with pivots; undefined where it is singular. */
function solve(a: Float64Array, right: Float64Array, n: number): Float64Array | undefined {
  const m = a.slice(), x = right.slice();
  for (let c = 0; c < n; c++) {
    let pivot = c;
    for (let r = c + 1; r < n; r++) {
      if (Math.abs(m[r * n + c]!) > Math.abs(m[pivot * n + c]!)) pivot = r;
    }
    if (!(Math.abs(m[pivot * n + c]!) > 0)) return undefined;
    for (let j = 0; j < n && pivot !== c; j++) {
      [m[c * n + j], m[pivot * n + j]] = [m[pivot * n + j]!, m[c * n + j]!];
    }
    if (pivot !== c) [x[c], x[pivot]] = [x[pivot]!, x[c]!];
    for (let r = 0; r < n; r++) {
      if (r === c) continue;
      const f = m[r * n + c]! / m[c * n + c]!;
      if (f === 0) continue;
      for (let j = c; j < n; j++) m[r * n + j]! -= f * m[c * n + j]!;
      x[r]! -= f * x[c]!;
    }
  }
  return x.map((v, i) => v / m[i * n + i]!);
}
