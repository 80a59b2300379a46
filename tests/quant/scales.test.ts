/** Scales of least error against exhaustive search in float64. */
import { assertAlmostEquals, assertLessOrEqual } from "@std/assert";
import { scaleOfEvenLevels, scaleOfFourLevels } from "../../src/quant/scales.ts";
import { randomWeights } from "./random.ts";

/** Least squared error of levels +-0.5 and +-1.5 over all choices of codes. */
function leastError(weights: Float32Array): number {
  const power = weights.reduce((sum, w) => sum + w * w, 0);
  let best = 0;
  for (let choice = 0; choice < 2 ** weights.length; choice++) {
    let dot = 0, norm = 0;
    for (let i = 0; i < weights.length; i++) {
      const q = choice >> i & 1 ? 1.5 : 0.5;
      dot += Math.abs(weights[i]!) * q;
      norm += q * q;
    }
    best = Math.max(best, dot * dot / norm);
  }
  return power - best;
}

function errorOf(weights: Float32Array, scale: number, levels: number[]): number {
  let error = 0;
  for (const w of weights) error += Math.min(...levels.map((l) => (w - scale * l) ** 2));
  return error;
}

Deno.test("the four-level scale has the least error of all choices of codes", () => {
  for (let seed = 0; seed < 50; seed++) {
    const weights = randomWeights(10, seed % 2 ? "gauss" : "laplace", seed);
    const scale = scaleOfFourLevels(weights, 0, new Float32Array(10));
    assertAlmostEquals(errorOf(weights, scale, [-1.5, -0.5, 0.5, 1.5]), leastError(weights), 1e-9);
  }
});

Deno.test("the even-level scale's error is within a tenth (4 bits) or half (8 bits) of a fine search's", () => {
  for (const bits of [4, 8] as const) {
    const half = 2 ** (bits - 1);
    const levels = Array.from({ length: 2 * half }, (_, i) => i - half);
    for (let seed = 0; seed < 10; seed++) {
      const weights = randomWeights(64, seed % 2 ? "gauss" : "laplace", seed);
      const max = Math.max(...weights.map(Math.abs));
      let best = Infinity;
      for (let share = 0.4; share < 1.1; share += 0.002) {
        for (const sign of [-1, 1]) {
          best = Math.min(best, errorOf(weights, sign * share * max / half, levels));
        }
      }
      const scale = scaleOfEvenLevels(weights, 0, 64, bits);
      assertLessOrEqual(errorOf(weights, scale, levels), best * (bits === 4 ? 1.1 : 1.5));
    }
  }
});
