/** The trellis code: its picks, Viterbi against every path there is, and what comes out of a matrix. */
import { assert, assertEquals, assertLess, assertLessOrEqual, assertThrows } from "@std/assert";
import { TRELLIS_LEVELS, TRELLIS_TOP, TRELLIS_UNIT } from "../../src/base/trellis.ts";
import { MoqeError } from "../../src/base/errors.ts";
import { resolveWidths } from "../../src/pack/widths.ts";
import { MatrixEncoder } from "../../src/quant/encoder.ts";
import { dequantize, quantizeMatrix } from "../../src/quant/matrix.ts";
import { resolveWidth } from "../../src/quant/quantizers.ts";
import { levelIndex, nextState, Viterbi } from "../../src/quant/viterbi.ts";
import { randomWeights, relativeError, uniform } from "./random.ts";

const TRELLIS = resolveWidth({ bits: 2, quantizer: "trellis" });

Deno.test("levels are bytes of seven bits, the same both ways", () => {
  assertEquals(TRELLIS_LEVELS.map((l, i) => l + TRELLIS_LEVELS[15 - i]!), new Array(16).fill(0));
  assert(TRELLIS_LEVELS.every((l) => Number.isInteger(l) && l + TRELLIS_TOP >= 0));
  assert(TRELLIS_LEVELS.every((l) => l + TRELLIS_TOP < 128));
  assertEquals(new Set(TRELLIS_LEVELS).size, 16);
});

Deno.test("the readers in Python know the same levels", async () => {
  const numbers = async (path: string, name: RegExp) => {
    const text = await Deno.readTextFile(new URL(`../../${path}`, import.meta.url));
    return name.exec(text)![1]!.split(",").map(Number);
  };
  assertEquals(await numbers("tests/goldens/unpack.py", /^TRELLIS = \[(.*)\]$/m), TRELLIS_LEVELS);
  const magnitudes = await numbers("models/recipe/qat.py", /^TRELLIS = \((.*)\)$/m);
  assertEquals(magnitudes, TRELLIS_LEVELS.filter((l) => l > 0).sort((a, b) => b - a));
});

/** The error of one path, and its levels. */
function follow(
  targets: Float64Array,
  scales: Float64Array,
  start: number,
  codes: ArrayLike<number>,
) {
  let state = start, error = 0;
  for (let r = 0; r < targets.length; r++) {
    error += (targets[r]! - scales[r]! * TRELLIS_LEVELS[levelIndex(state, codes[r]!)]!) ** 2;
    state = nextState(state, codes[r]!);
  }
  return error;
}

Deno.test("Viterbi finds the best of all 4^6 paths, from any state, for scales of every sign and size", () => {
  const rows = 6, viterbi = new Viterbi(rows), codes = new Uint8Array(rows), next = uniform(3);
  for (let trial = 0; trial < 12; trial++) {
    const targets = Float64Array.from(randomWeights(rows, "gauss", trial));
    const scales = Float64Array.from({ length: rows }, () => (next() - 0.3) / TRELLIS_UNIT);
    if (trial === 3) scales[2] = 0;
    const state = Math.floor(next() * 64);
    viterbi.encode(targets, scales, rows, state, codes);
    const own = follow(targets, scales, state, codes);
    for (let path = 0; path < 4 ** rows; path++) {
      const other = Array.from({ length: rows }, (_, r) => path >> 2 * r & 3);
      assertLessOrEqual(own, follow(targets, scales, state, other) + 1e-12);
    }
  }
});

Deno.test("a Gaussian loses less than 0.087 of its variance, where four levels lose 0.1175", () => {
  const rows = 500, columns = 100, viterbi = new Viterbi(rows), codes = new Uint8Array(rows);
  const scales = new Float64Array(rows).fill(1 / TRELLIS_UNIT);
  let error = 0;
  for (let c = 0; c < columns; c++) {
    const targets = Float64Array.from(randomWeights(rows, "gauss", 100 + c));
    viterbi.encode(targets, scales, rows, 0, codes);
    error += follow(targets, scales, 0, codes);
  }
  assertLess(error / rows / columns, 0.087);
});

Deno.test("matrices err by a fifth less than with four levels, whatever the groups", () => {
  for (const [rows, cols] of [[300, 65], [130, 200], [520, 64]] as const) {
    const weights = randomWeights(rows * cols, "gauss", rows);
    for (const group of [0, 32, 64, 128] as const) {
      const error = (quantizer: "lloyd" | "trellis") => {
        const recipe = resolveWidth({ bits: 2, quantizer, group });
        return relativeError(weights, dequantize(quantizeMatrix(weights, rows, cols, recipe)));
      };
      assertLess(error("trellis"), 0.79 * error("lloyd"), `[${rows}, ${cols}] group ${group}`);
    }
  }
});

Deno.test("rows may come in pieces: each begins where the one before ended", () => {
  const rows = 90, cols = 70, weights = randomWeights(rows * cols, "laplace", 8);
  const whole = quantizeMatrix(weights, rows, cols, TRELLIS), { layout } = whole;
  const encoder = new MatrixEncoder("m", rows, cols, TRELLIS);
  const codes = new Uint8Array(layout.codesBytes), scales = new Uint16Array(rows * layout.groups);
  for (let from = 0; from < rows; from += 37) {
    const n = Math.min(37, rows - from);
    encoder.encodeRows(
      weights.subarray(from * cols, (from + n) * cols),
      n,
      codes.subarray(from * layout.rowBytes),
      scales.subarray(from * layout.groups),
    );
  }
  const pieces = dequantize({ ...whole, codes, scales });
  assertLess(relativeError(weights, pieces), 1.1 * relativeError(weights, dequantize(whole)));
});

Deno.test("what a trellis has written is found again to the last bit, with other scales too", () => {
  const rows = 300, cols = 150, next = uniform(2);
  const weights = randomWeights(rows * cols, "gauss", 6);
  for (const group of [0, 64] as const) {
    const recipe = resolveWidth({ bits: 2, quantizer: "trellis", group });
    const first = quantizeMatrix(weights, rows, cols, recipe);
    const trained = new Float16Array(first.scales.buffer);
    for (let i = 0; i < trained.length; i++) trained[i]! *= 0.7 + 0.6 * next();
    const again = quantizeMatrix(dequantize(first), rows, cols, recipe);
    assertEquals(again.codes, first.codes);
    assertEquals(again.scales, first.scales);
  }
});

Deno.test("groups of zeros, constants and tiny weights come out as what they are, or nearly", () => {
  const rows = 20, cols = 128, weights = new Float32Array(rows * cols);
  for (let r = 0; r < rows; r++) {
    weights.fill(r % 3 === 0 ? 0 : 0.25, r * cols, r * cols + 64);
    weights.fill(1e-6, r * cols + 64, (r + 1) * cols);
  }
  const got = dequantize(quantizeMatrix(weights, rows, cols, TRELLIS));
  for (let i = 0; i < got.length; i++) {
    if (weights[i] === 0) assertEquals(got[i], 0);
    else assertLess(Math.abs(got[i]! - weights[i]!), 0.6 * weights[i]! + 2e-6);
  }
});

Deno.test("a trellis is of 2 bits, and of experts alone", () => {
  assertThrows(
    () => resolveWidth({ bits: 3, quantizer: "trellis" }),
    MoqeError,
    "a trellis is of 2 bits",
  );
  const widths = { trunk: { bits: 8 }, embedding: { bits: 8 } } as const;
  const experts = { bits: 2, quantizer: "trellis" } as const;
  assertEquals(resolveWidths({ ...widths, experts }).experts.encoder.format.trellis, true);
  assertThrows(
    () => resolveWidths({ ...widths, experts, parts: { attention: experts } }),
    MoqeError,
    "only experts can be a trellis",
  );
});
