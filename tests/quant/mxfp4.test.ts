/** MXFP4 kept as a codebook: what is decoded is what was there, bit for bit, or the tensor is refused by name. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { dequantize, quantizeMatrix } from "../../src/quant/matrix.ts";
import { MXFP4_LEVELS, mxfp4Group } from "../../src/quant/mxfp4.ts";
import { atBits, describeRecipe, resolveWidth } from "../../src/quant/quantizers.ts";
import { uniform } from "./random.ts";

const RECIPE = resolveWidth({ bits: 4, quantizer: "mxfp4" });
const LEVELS = MXFP4_LEVELS.slice(0, -1);
const bits = (x: Float32Array) => new Uint32Array(x.buffer, x.byteOffset, x.length);

/** A group of levels up to `most`, times 2^power; some are only zeros. */
function group(random: () => number, most: number, power: number): Float32Array {
  const levels = LEVELS.filter((l) => Math.abs(l) <= most);
  return new Float32Array(32).map(() =>
    levels[Math.floor(random() * levels.length)]! * 2 ** power + 0
  );
}

Deno.test("weights of MXFP4 come out as they were, bit for bit, wherever f16 has a scale for them", () => {
  const random = uniform(3);
  let kept = 0, refused = 0;
  for (let power = -40; power <= 40; power++) {
    for (const most of [0, 1, 2, 3, 4, 6, 8, 12]) {
      const row = group(random, most, power);
      const top = row.reduce((a, w) => Math.max(a, Math.abs(w)), 0);
      // By brute force: any power of two that f16 holds.
      const possible = Array.from({ length: 40 }, (_, i) => 2 ** (i - 24)).some((scale) =>
        row.every((w) => LEVELS.includes(w / scale + 0))
      );
      if (top === 0 || possible) {
        const matrix = quantizeMatrix(row, 1, 32, RECIPE, "w");
        assertEquals(bits(dequantize(matrix)), bits(row), `2^${power}, levels up to ${most}`);
        kept++;
      } else {
        const error = assertThrows(
          () => quantizeMatrix(row, 1, 32, RECIPE, "some.tensor"),
          MoqeError,
        );
        assertEquals(error.code, "unsupported");
        assert(error.message.includes("some.tensor") && error.message.includes(`${top}`));
        refused++;
      }
    }
  }
  assert(kept > 300 && refused > 200, `${kept} kept, ${refused} refused`);
});

Deno.test("rows of several groups, more than one row, and widths that are padded", () => {
  const random = uniform(5);
  for (const cols of [32, 64, 96, 160]) {
    const rows = 5, weights = new Float32Array(rows * cols);
    for (let g = 0; g < weights.length / 32; g++) {
      const most = Math.abs(LEVELS[Math.floor(random() * 15)]!);
      weights.set(group(random, most, g % 20 - 12), 32 * g);
    }
    const matrix = quantizeMatrix(weights, rows, cols, RECIPE);
    assertEquals(bits(dequantize(matrix)), bits(weights));
    assert(matrix.scales.every((s) => (s & 0x3ff) === 0 || s < 0x400), "powers of two");
  }
});

Deno.test("weights that MXFP4 cannot say are refused", () => {
  const codes = new Uint8Array(32);
  const bad = (...w: number[]) => mxfp4Group(Float32Array.from(w), codes);
  assertEquals(bad(1.25), NaN);
  assertEquals(bad(1, 0.3), NaN);
  assertEquals(bad(10, 2), NaN);
  assertEquals(bad(12, 5), NaN);
  assertEquals(bad(16 / 3), NaN);
  assertEquals(bad(6, 1, -0.5), 0.5);
  assertEquals([...codes.subarray(0, 3)], [14, 9, 6]);
  assertEquals(bad(-0, 0), 0);
  for (let e = -24 + 3; e < 15; e++) assertEquals(bad(2 ** e), 2 ** (e - 3));
});

Deno.test("the width has its group and bits, and nothing chooses its codes", () => {
  assertEquals(describeRecipe(RECIPE), "4-bit mxfp4 group 32");
  for (
    const wrong of [
      { bits: 2 },
      { group: 64 },
      { rotate: true },
      { rounding: "gptq" },
    ] as const
  ) {
    const width = { bits: 4, quantizer: "mxfp4", ...wrong } as const;
    assertEquals(assertThrows(() => resolveWidth(width), MoqeError).code, "bad_input");
  }
  assertEquals(atBits({ quantizer: "mxfp4" }, 3), { bits: 3, quantizer: "lloyd" });
  assertEquals(atBits({ quantizer: "mxfp4" }, 4).quantizer, "mxfp4");
});
