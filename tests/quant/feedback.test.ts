/** Second moments, their factors and error feedback against plain float64 definitions. */
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertLess,
  assertLessOrEqual,
} from "@std/assert";
import { rotate, rotationBlock, unrotate } from "../../src/base/rotation.ts";
import { rotationMatrix } from "../../tools/twin/rotation.ts";
import { Feedback } from "../../src/quant/feedback.ts";
import { fitScale, Grid } from "../../src/quant/grid.ts";
import { roundToHalf } from "../../src/quant/half.ts";
import { dequantize, quantizeMatrix } from "../../src/quant/matrix.ts";
import { Hessian, hessianBlock, inverseUpper, Moments } from "../../src/quant/moments.ts";
import { resolveWidth } from "../../src/quant/quantizers.ts";
import { randomWeights, uniform } from "./random.ts";

/** Inputs whose columns have something in common, as hidden layers do. */
function correlated(rows: number, cols: number, seed: number): Float32Array {
  const x = randomWeights(rows * cols, "gauss", seed), mix = randomWeights(cols, "gauss", seed + 1);
  for (let r = 0; r < rows; r++) {
    const common = x[r * cols]!;
    for (let c = 0; c < cols; c++) x[r * cols + c]! += 2 * common * mix[c]! + 0.5;
  }
  return x;
}

function hessian(x: Float32Array, rows: number, cols: number, centred = false): Hessian {
  const moments = new Moments(cols);
  moments.add(x, rows, new Float64Array(rows).fill(0.5));
  return new Hessian(moments, centred);
}

/** d' H d over the diagonal blocks. */
function errorOf(h: Hessian, d: ArrayLike<number>): number {
  let sum = 0;
  h.blocks.forEach((block, b) => {
    const n = Math.sqrt(block.length), from = b * h.block;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) sum += d[from + i]! * block[i * n + j]! * d[from + j]!;
    }
  });
  return sum;
}

Deno.test("moments are the weighed mean of x x', centred where asked, damped by a hundredth", () => {
  for (const cols of [5, 130, 300]) {
    const rows = 40, x = correlated(rows, cols, cols), next = uniform(1);
    const weights = Float64Array.from({ length: rows }, () => next());
    const moments = new Moments(cols), block = hessianBlock(cols);
    moments.add(x, rows, weights);
    const total = weights.reduce((a, b) => a + b);
    const mean = (f: (r: number) => number) => {
      let sum = 0;
      for (let r = 0; r < rows; r++) sum += weights[r]! * f(r) / total;
      return sum;
    };
    for (const centred of [false, true]) {
      const h = new Hessian(moments, centred);
      const due = (i: number, j: number) => {
        const at = (r: number, c: number) => x[r * cols + c]!;
        const both = mean((r) => at(r, i) * at(r, j));
        return centred ? both - mean((r) => at(r, i)) * mean((r) => at(r, j)) : both;
      };
      h.blocks.forEach((values, b) => {
        const n = Math.sqrt(values.length), from = b * block;
        let trace = 0;
        for (let i = 0; i < n; i++) trace += due(from + i, from + i);
        for (const [i, j] of [[0, 0], [0, n - 1], [n - 1, 0], [n >> 1, n >> 2]] as const) {
          const damp = i === j ? 0.01 * trace / n : 0;
          assertAlmostEquals(values[i * n + j]!, due(from + i, from + j) + damp, 1e-9);
        }
      });
    }
  }
});

Deno.test("U' U is the inverse of H", () => {
  const n = 40, h = hessian(correlated(200, n, 3), 200, n).blocks[0]!;
  const u = inverseUpper(h, n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      if (j < i) assertEquals(u[i * n + j], 0);
      let sum = 0;
      for (let k = 0; k < n; k++) {
        let inverse = 0;
        for (let m = 0; m <= Math.min(i, k); m++) inverse += u[m * n + i]! * u[m * n + k]!;
        sum += inverse * h[k * n + j]!;
      }
      assertAlmostEquals(sum, i === j ? 1 : 0, 1e-8);
    }
  }
});

/**
 * GPTQ as it is defined, without a factor: columns in the order of the diagonal; each one's error goes to those left
 * by the inverse of what is left of H, which is made anew each time by elimination.
 */
function gptqTwin(h: Float64Array, w: Float64Array, scale: number, grid: Grid): Uint8Array {
  const n = w.length, left = w.slice(), codes = new Uint8Array(n);
  const order = [...w.keys()].sort((a, b) => h[b * n + b]! - h[a * n + a]! || a - b);
  for (let done = 0; done < n; done++) {
    const rest = order.slice(done), m = rest.length;
    const inverse = inverseOf(rest.map((i) => rest.map((j) => h[i * n + j]!)));
    const i = rest[0]!, c = grid.code(left[i]! / scale);
    codes[i] = c;
    const error = (left[i]! - scale * grid.levels[c]!) / inverse[0]![0]!;
    for (let k = 1; k < m; k++) left[rest[k]!]! -= error * inverse[0]![k]!;
  }
  return codes;
}

function inverseOf(a: number[][]): number[][] {
  const n = a.length, m = a.map((row, i) => [...row, ...row.map((_, j) => i === j ? 1 : 0)]);
  for (let c = 0; c < n; c++) {
    const pivot = m[c]![c]!;
    m[c] = m[c]!.map((v) => v / pivot);
    for (let r = 0; r < n; r++) {
      const f = m[r]![c]!;
      if (r !== c) m[r] = m[r]!.map((v, j) => v - f * m[c]![j]!);
    }
  }
  return m.map((row) => row.slice(n));
}

Deno.test("the first pass is GPTQ to the code; the rounds after it only lower the error", () => {
  const grid = new Grid(resolveWidth({ bits: 2 }).format), n = 24;
  let better = 0;
  for (let seed = 0; seed < 10; seed++) {
    const h = hessian(correlated(100, n, seed), 100, n);
    const w = Float64Array.from(randomWeights(n, "laplace", seed + 50));
    const scale = roundToHalf(fitScale(w, 0, 0, n, grid, h.importance));
    const run = (rounds: number) => {
      const scales = Float64Array.of(scale), codes = new Uint8Array(n);
      new Feedback(h, grid, n, 0, rounds).round(w, scales, codes);
      return {
        codes,
        error: errorOf(h, w.map((v, i) => v - scales[0]! * grid.levels[codes[i]!]!)),
      };
    };
    const first = run(0);
    assertEquals(first.codes, gptqTwin(h.blocks[0]!, w, scale, grid));
    const nearest = errorOf(h, w.map((v) => v - scale * grid.levels[grid.code(v / scale)]!));
    assertLess(run(1).error, first.error * 1.001);
    assertLess(run(2).error, run(1).error * 1.001);
    if (run(2).error < 0.7 * nearest) better++;
  }
  assert(better >= 8, `better than rounding in ${better} of 10`);
});

Deno.test("a short row's codes come near the best of all", () => {
  const grid = new Grid(resolveWidth({ bits: 2 }).format), n = 6;
  let ours = 0, best = 0;
  for (let seed = 0; seed < 20; seed++) {
    const h = hessian(correlated(50, n, seed), 50, n);
    const w = Float64Array.from(randomWeights(n, "gauss", seed)), codes = new Uint8Array(n);
    const scales = Float64Array.of(roundToHalf(fitScale(w, 0, 0, n, grid, h.importance)));
    new Feedback(h, grid, n, 0).round(w, scales, codes);
    ours += errorOf(h, w.map((v, i) => v - scales[0]! * grid.levels[codes[i]!]!));
    let least = Infinity;
    for (let all = 0; all < 4 ** n; all++) {
      const d = w.map((v, i) => v - scales[0]! * grid.levels[all >> 2 * i & 3]!);
      least = Math.min(least, errorOf(h, d));
    }
    best += least;
  }
  assertLessOrEqual(ours, best * 1.35);
});

Deno.test("gptq writes less output error than the nearest level, for any format and odd widths", () => {
  for (
    const [bits, quantizer, group, rotate_] of [
      [2, "symmetric", 64, false],
      [3, "symmetric", 0, false],
      [2, "lloyd", 32, true],
      [4, "lloyd", 128, false],
      [2, "trellis", 64, false],
      [2, "trellis", 0, true],
    ] as const
  ) {
    for (const cols of [65, 300]) {
      const rows = 6, samples = 400, x = correlated(samples, cols, 7);
      const weights = randomWeights(rows * cols, "gauss", 4);
      const seen = x.slice();
      if (rotate_) { for (let r = 0; r < samples; r++) rotate(seen, r * cols, cols); }
      const h = hessian(seen, samples, cols);
      const outputError = (rounding: "nearest" | "gptq") => {
        const recipe = resolveWidth({ bits, quantizer, group, rotate: rotate_, rounding });
        const got = dequantize(quantizeMatrix(weights, rows, cols, recipe, "w", h));
        let sum = 0;
        for (let r = 0; r < rows; r++) {
          for (let s = 0; s < samples; s++) {
            let dot = 0;
            for (let c = 0; c < cols; c++) {
              dot += (weights[r * cols + c]! - got[r * cols + c]!) * x[s * cols + c]!;
            }
            sum += dot * dot;
          }
        }
        return sum;
      };
      assertLess(outputError("gptq"), 0.8 * outputError("nearest"), `${bits} ${quantizer} ${cols}`);
    }
  }
});

Deno.test("rotation is its matrix, keeps lengths, and comes back", () => {
  for (const cols of [1, 2, 3, 48, 130, 256, 3072]) {
    const block = rotationBlock(cols);
    assert(cols % block === 0 && block <= 1024);
    const x = Float64Array.from(randomWeights(cols, "laplace", cols)), y = x.slice();
    rotate(y, 0, cols);
    const length = (v: Float64Array) => v.reduce((sum, a) => sum + a * a, 0);
    assertAlmostEquals(length(y) / length(x), 1, 1e-12);
    if (cols <= 256) {
      const r = rotationMatrix(cols);
      for (let i = 0; i < cols; i++) {
        let sum = 0;
        for (let j = 0; j < cols; j++) sum += r[i * cols + j]! * x[j]!;
        assertAlmostEquals(y[i]!, sum, 1e-12);
      }
    }
    unrotate(y, 0, cols);
    y.forEach((v, i) => assertAlmostEquals(v, x[i]!, 1e-12));
  }
});
