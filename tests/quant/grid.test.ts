/** Nearest levels, scales of least error and codebooks against plain searches in float64. */
import { assert, assertAlmostEquals, assertEquals, assertLessOrEqual } from "@std/assert";
import { gaussianLevels, lloydLevels, logLevels } from "../../src/quant/codebook.ts";
import { fitScale, Grid } from "../../src/quant/grid.ts";
import { fromHalfBits } from "../../src/quant/half.ts";
import { dequantize, quantizeMatrix } from "../../src/quant/matrix.ts";
import { resolveWidth, type Width } from "../../src/quant/quantizers.ts";
import { type Distribution, randomWeights, relativeError, uniform } from "./random.ts";

const WIDTHS: Width[] = [
  { bits: 2 },
  { bits: 3 },
  { bits: 4 },
  { bits: 8 },
  { bits: 2, quantizer: "lloyd" },
  { bits: 3, quantizer: "lloyd" },
  { bits: 4, quantizer: "lloyd" },
];

for (const width of WIDTHS) {
  const { format } = resolveWidth(width), grid = new Grid(format);
  const name = `${format.bits} bits${format.levels ? " by codebook" : ""}`;

  Deno.test(`${name}: the code is of the nearest level`, () => {
    const next = uniform(3), reach = grid.levels.at(-1)! * 1.3;
    for (let i = 0; i < 2000; i++) {
      const value = (2 * next() - 1) * reach;
      const least = Math.min(...grid.levels.map((l) => Math.abs(l - value)));
      assertLessOrEqual(Math.abs(grid.levels[grid.code(value)]! - value), least + 1e-12);
    }
  });

  Deno.test(`${name}: the scale's weighed error is near that of a fine search`, () => {
    for (let seed = 0; seed < 6; seed++) {
      const kind: Distribution = seed % 2 ? "gauss" : "laplace", n = 64;
      const weights = randomWeights(n, kind, seed), next = uniform(seed);
      const importance = Float64Array.from({ length: n }, () => next() ** 4 + 0.01);
      const error = (scale: number) =>
        weights.reduce((sum, w, i) => {
          const level = Math.min(...grid.levels.map((l) => Math.abs(w - scale * l)));
          return sum + importance[i]! * level ** 2;
        }, 0);
      const full = Math.max(...weights.map(Math.abs)) / grid.levels.at(-1)!;
      let best = Infinity;
      for (let share = 0.15; share < 1.2; share += 0.002) {
        best = Math.min(best, error(full * share), error(-full * share));
      }
      const scale = fitScale(weights, 0, 0, n, grid, importance);
      assertLessOrEqual(error(scale), best * (format.bits === 8 ? 2.5 : 1.15), `seed ${seed}`);
    }
  });
}

Deno.test("MoQE's log scale: every weight has the level 2^Q, Q = round(log2(|w| / s)) clipped", () => {
  for (const bits of [2, 3, 4] as const) {
    const cols = 96, rows = 4, weights = randomWeights(rows * cols, "laplace", 9);
    const m = quantizeMatrix(weights, rows, cols, resolveWidth({ bits, quantizer: "moqe-log" }));
    const decoded = dequantize(m), most = 2 ** (bits - 1) - 1;
    for (let r = 0; r < rows; r++) {
      // The stored scale belongs to the level 1; the paper's s is that of the largest, 2^most.
      const unit = fromHalfBits(m.scales[r]!);
      for (let c = 0; c < cols; c++) {
        const w = weights[r * cols + c]!;
        const q = Math.round(Math.log2(Math.abs(w) / unit));
        const level = Math.min(127, 2 ** Math.max(0, Math.min(most, q)));
        const exact = Math.abs(Math.log2(Math.abs(w) / unit) - q) > 0.49;
        if (!exact) assertEquals(decoded[r * cols + c], Math.fround(Math.sign(w) * unit * level));
      }
    }
  }
});

Deno.test("log levels are powers of two, as far as a byte goes", () => {
  assertEquals(logLevels(2), [-2, -1, 1, 2]);
  assertEquals(logLevels(3), [-8, -4, -2, -1, 1, 2, 4, 8]);
  assertEquals(logLevels(4).slice(8), [1, 2, 4, 8, 16, 32, 64, 127]);
});

Deno.test("Gaussian levels are the centres of their cells", () => {
  const weights = randomWeights(400_000, "gauss", 5);
  for (const bits of [2, 3, 4] as const) {
    const levels = gaussianLevels(bits),
      grid = new Grid(resolveWidth({ bits, quantizer: "lloyd" }).format);
    const scale = { 2: 1.51, 3: 2.152, 4: 2.733 }[bits] / 127;
    const sum = new Float64Array(levels.length), count = new Float64Array(levels.length);
    for (const w of weights) {
      const c = grid.code(w / scale);
      sum[c]! += w / scale;
      count[c]!++;
    }
    levels.forEach((l, c) => assertAlmostEquals(sum[c]! / count[c]!, l, 1.6));
  }
});

Deno.test("a fitted codebook is no worse than the Gaussian's, and better where weights are none", () => {
  const rows = 64, cols = 256;
  for (const [kind, gain] of [["gauss", 1.01], ["laplace", 0.99]] as const) {
    const weights = randomWeights(rows * cols, kind, 21);
    const recipe = resolveWidth({ bits: 2, quantizer: "lloyd", group: 0 });
    const levels = lloydLevels([{ weights, rows, cols }], recipe.format);
    assert(levels.every((l, i) => Number.isInteger(l) && (i === 0 || l > levels[i - 1]!)));
    const error = (r: typeof recipe) =>
      relativeError(weights, dequantize(quantizeMatrix(weights, rows, cols, r)));
    const fitted = { ...recipe, format: { ...recipe.format, levels } };
    assertLessOrEqual(error(fitted), error(recipe) * gain, kind);
  }
});

Deno.test("rotation brings Laplacian weights to a Gaussian's error", () => {
  const rows = 32, cols = 1024, weights = randomWeights(rows * cols, "laplace", 8);
  const error = (width: Width) =>
    relativeError(weights, dequantize(quantizeMatrix(weights, rows, cols, resolveWidth(width))));
  assertAlmostEquals(error({ bits: 2, group: 0, rotate: true }), 0.119, 0.004);
  assertAlmostEquals(error({ bits: 3, group: 0, rotate: true, quantizer: "lloyd" }), 0.0345, 0.002);
});
