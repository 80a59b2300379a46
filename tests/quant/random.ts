/** Deterministic random weights for tests of quantizers. */

/** mulberry32: uniform in [0, 1), the same for the same seed. */
export function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ state >>> 15, 1 | state);
    t = (t + Math.imul(t ^ t >>> 7, 61 | t)) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 2 ** 32;
  };
}

export type Distribution = "gauss" | "laplace";

/** f32 [count] of unit variance. */
export function randomWeights(count: number, kind: Distribution, seed: number): Float32Array {
  const next = uniform(seed);
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const u = next();
    out[i] = kind === "gauss"
      ? Math.sqrt(-2 * Math.log(1 - u)) * Math.cos(2 * Math.PI * next())
      : -Math.sign(u - 0.5) * Math.log(1 - 2 * Math.abs(u - 0.5)) / Math.SQRT2;
  }
  return out;
}

/** Sum of squared differences over the sum of squares, in float64. */
export function relativeError(weights: Float32Array, decoded: Float32Array): number {
  let error = 0, power = 0;
  for (let i = 0; i < weights.length; i++) {
    error += (weights[i]! - decoded[i]!) ** 2;
    power += weights[i]! ** 2;
  }
  return error / power;
}
