/** Relative errors of each quantizer on synthetic weights. */
import { assert, assertAlmostEquals, assertLess } from "@std/assert";
import { dequantize, quantizeMatrix } from "../../src/quant/matrix.ts";
import { resolveWidth, type Width } from "../../src/quant/quantizers.ts";
import { type Distribution, randomWeights, relativeError } from "./random.ts";

const ROWS = 48, COLS = 4096;

function errorOf(kind: Distribution, width: Width): number {
  const weights = randomWeights(ROWS * COLS, kind, 7);
  return relativeError(
    weights,
    dequantize(quantizeMatrix(weights, ROWS, COLS, resolveWidth(width))),
  );
}

const TABLE: [string, Width, gauss: number, laplace: number, tolerance: number][] = [
  ["half-step absmax per channel", { bits: 2, quantizer: "moqe-linear-half" }, 0.578, 2.65, 0.12],
  ["symmetric per channel", { bits: 2, group: 0 }, 0.119, 0.197, 0.02],
  ["symmetric group 64", { bits: 2, group: 64 }, 0.113, 0.185, 0.02],
  ["symmetric group 128", { bits: 2, group: 128 }, 0.116, 0.191, 0.02],
  ["symmetric group 32", { bits: 2, group: 32 }, 0.108, 0.175, 0.02],
];

for (const [name, width, gauss, laplace, tolerance] of TABLE) {
  Deno.test(`2-bit ${name} has the error of the table`, () => {
    assertAlmostEquals(errorOf("gauss", width) / gauss, 1, tolerance);
    assertAlmostEquals(errorOf("laplace", width) / laplace, 1, tolerance);
  });
}

Deno.test("truncation per channel, MoQE's literal reading, loses more than half of the power", () => {
  const error = errorOf("gauss", { bits: 2, quantizer: "moqe-linear-trunc" });
  assert(error > 0.5 && error < 1, `${error}`);
});

Deno.test("4- and 8-bit groups come near the bounds of uniform quantizers", () => {
  assertLess(errorOf("gauss", { bits: 4, group: 64 }), 0.0085);
  assertLess(errorOf("gauss", { bits: 4, group: 0 }), 0.0125);
  assertLess(errorOf("laplace", { bits: 4, group: 64 }), 0.0145);
  assertLess(errorOf("gauss", { bits: 8 }), 1.2e-4);
  assertLess(errorOf("gauss", { bits: 8, group: 64 }), 4e-5);
  assertLess(errorOf("gauss", { bits: 16 }), 1e-7);
});
