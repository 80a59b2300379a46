/** Codes, padding, refusals: quantizers held against plain float64 definitions. */
import { assert, assertEquals, assertLessOrEqual, assertThrows } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { type CodeBits, codePosition, highBitPosition } from "../../src/base/layout.ts";
import { packRow, unpackRow } from "../../src/quant/codes.ts";
import { fromHalfBits, halfTable, roundToHalf, toHalfBits } from "../../src/quant/half.ts";
import { dequantize, type EncodedMatrix, quantizeMatrix } from "../../src/quant/matrix.ts";
import { resolveWidth, type Width } from "../../src/quant/quantizers.ts";
import { randomWeights, uniform } from "./random.ts";

const WIDTHS: Width[] = [
  { bits: 2 },
  { bits: 2, group: 0 },
  { bits: 2, group: 32 },
  { bits: 2, group: 128 },
  { bits: 2, quantizer: "moqe-linear-trunc" },
  { bits: 2, quantizer: "moqe-linear-half" },
  { bits: 4 },
  { bits: 4, group: 0 },
  { bits: 4, group: 32 },
  { bits: 4, quantizer: "moqe-linear-trunc" },
  { bits: 8 },
  { bits: 8, group: 128 },
];
const COLUMNS = [1, 31, 63, 64, 65, 100, 130, 256];

/** Code of one weight, found by the layout's own definition. */
function codeAt(m: EncodedMatrix, row: number, col: number): number {
  const words = new Uint32Array(m.codes.buffer, row * m.layout.rowBytes, m.layout.rowBytes / 4);
  return codeIn(words, col, m.format.bits as CodeBits);
}

function codeIn(words: Uint32Array, col: number, bits: CodeBits): number {
  const { word, shift } = codePosition(col, bits);
  if (bits !== 3) return words[word]! >>> shift & (2 ** bits - 1);
  const high = highBitPosition(col);
  return words[word]! >>> shift & 3 | (words[high.word]! >>> high.shift & 1) << 2;
}

Deno.test("codes lie where codePosition says, and come back", () => {
  const next = uniform(1);
  for (const bits of [2, 3, 4, 8] as const) {
    const codes = Uint8Array.from({ length: 256 }, () => Math.floor(next() * 2 ** bits));
    const words = new Uint32Array(256 * bits / 32);
    packRow(new Uint32Array(codes.buffer), words, bits);
    for (let i = 0; i < codes.length; i++) {
      assertEquals(codeIn(words, i, bits), codes[i]);
    }
    const back = new Uint8Array(256);
    unpackRow(words, back, bits);
    assertEquals(back, codes);
  }
});

for (const width of WIDTHS) {
  Deno.test(`${JSON.stringify(width)}: weights decode as defined, padding is 0, for any columns`, () => {
    const recipe = resolveWidth(width);
    const { zero, group } = recipe.format;
    for (const cols of COLUMNS) {
      const rows = 3;
      const weights = randomWeights(rows * cols, "laplace", cols);
      const m = quantizeMatrix(weights, rows, cols, recipe);
      const decoded = dequantize(m);
      const { colsPadded, groups } = m.layout;
      assertEquals(colsPadded % 64, 0);
      for (let r = 0; r < rows; r++) {
        for (let c = 0; c < colsPadded; c++) {
          const code = codeAt(m, r, c);
          if (c >= cols) {
            assertEquals(code, 0);
            continue;
          }
          const scale = fromHalfBits(
            m.scales[r * groups + (group === 0 ? 0 : Math.floor(c / group))]!,
          );
          assertEquals(decoded[r * cols + c], Math.fround(scale * (code - zero)));
        }
      }
    }
  });
}

Deno.test("every code but truncation's is the nearest level under the stored scale", () => {
  for (const width of WIDTHS) {
    const recipe = resolveWidth(width), { format, quantizer } = recipe;
    if (quantizer === "moqe-linear-trunc") continue;
    const cols = 100, weights = randomWeights(4 * cols, "gauss", 5);
    const m = quantizeMatrix(weights, 4, cols, recipe);
    const decoded = dequantize(m);
    for (let i = 0; i < weights.length; i++) {
      const r = Math.floor(i / cols), c = i % cols;
      const g = format.group === 0 ? 0 : Math.floor(c / format.group);
      const scale = fromHalfBits(m.scales[r * m.layout.groups + g]!);
      let least = Infinity;
      for (let code = 0; code < 2 ** format.bits; code++) {
        least = Math.min(least, Math.abs(weights[i]! - scale * (code - format.zero)));
      }
      const error = Math.abs(weights[i]! - decoded[i]!);
      assertLessOrEqual(error, least + 1e-6, JSON.stringify(width));
    }
  }
});

Deno.test("MoQE's linear quantizers are 2 max|A| / (2^b - 1) and int(A / s), or half steps", () => {
  const cols = 96, weights = randomWeights(2 * cols, "gauss", 9);
  for (const quantizer of ["moqe-linear-trunc", "moqe-linear-half"] as const) {
    const m = quantizeMatrix(weights, 2, cols, resolveWidth({ bits: 2, quantizer }));
    const decoded = dequantize(m);
    for (let r = 0; r < 2; r++) {
      const row = [...weights.subarray(r * cols, (r + 1) * cols)];
      const s = roundToHalf(2 * Math.max(...row.map(Math.abs)) / 3);
      row.forEach((w, c) => {
        const level = quantizer === "moqe-linear-trunc"
          ? Math.trunc(w / s)
          : Math.min(1.5, Math.max(-1.5, Math.floor(w / s) + 0.5));
        assertEquals(decoded[r * cols + c]! + 0, Math.fround(s * level) + 0);
      });
    }
  }
});

Deno.test("an all-zero group decodes to zero and leaves its neighbours alone", () => {
  const weights = new Float32Array(128);
  weights.set(randomWeights(64, "gauss", 3), 64);
  for (const width of [{ bits: 2 }, { bits: 4 }, { bits: 8, group: 64 }] as Width[]) {
    const decoded = dequantize(quantizeMatrix(weights, 1, 128, resolveWidth(width)));
    assert(decoded.subarray(0, 64).every((w) => w === 0));
    assert(decoded.subarray(64).some((w) => w !== 0));
  }
});

Deno.test("f16 and f32 rows are padded with zeros", () => {
  const weights = randomWeights(3 * 5, "gauss", 4);
  const half = quantizeMatrix(weights, 3, 5, resolveWidth({ bits: 16 }));
  assertEquals([half.layout.colsPadded, half.codes.length, half.scales.length], [8, 48, 0]);
  assertEquals(dequantize(half), weights.map(roundToHalf));
  const full = quantizeMatrix(weights, 3, 5, resolveWidth({ bits: 32 }));
  assertEquals(dequantize(full), weights);
});

Deno.test("what would become Inf or already is none is refused with the tensor's name", () => {
  const weights = new Float32Array(64).fill(1);
  const refuse = (value: number, width: Width) => {
    weights[7] = value;
    return assertThrows(
      () => quantizeMatrix(weights, 1, 64, resolveWidth(width), "decoder.fc1"),
      MoqeError,
      "decoder.fc1",
    );
  };
  for (const bits of [2, 4, 8, 16, 32] as const) {
    assertEquals(refuse(NaN, { bits }).code, "corrupt");
    assertEquals(refuse(-Infinity, { bits }).code, "corrupt");
  }
  assertEquals(refuse(65520, { bits: 16 }).code, "unsupported");
  assertEquals(refuse(1e38, { bits: 2 }).code, "unsupported");
  assertEquals(refuse(-3e38, { bits: 8 }).code, "unsupported");
  weights[7] = 65519;
  const kept = dequantize(quantizeMatrix(weights, 1, 64, resolveWidth({ bits: 16 })));
  assertEquals(kept[7], 65504);
  weights[7] = -8e6;
  const wide = dequantize(quantizeMatrix(weights, 1, 64, resolveWidth({ bits: 8 })));
  assert(Math.abs(wide[7]! / -8e6 - 1) < 0.01, "8 bits rescale what f16 cannot hold");
});

Deno.test("widths that have no meaning are refused", () => {
  for (
    const width of [
      { bits: 5 },
      { bits: 16, quantizer: "symmetric" },
      { bits: 2, quantizer: "moqe-linear-half", group: 64 },
      { bits: 2, quantizer: "float" },
    ] as unknown as Width[]
  ) {
    assertEquals(assertThrows(() => resolveWidth(width), MoqeError).code, "bad_input");
  }
});

Deno.test("halves round to nearest even and back", () => {
  assertEquals(toHalfBits(1), 0x3c00);
  assertEquals(toHalfBits(1 + 2 ** -11), 0x3c00);
  assertEquals(toHalfBits(1 + 3 * 2 ** -11), 0x3c02);
  assertEquals(fromHalfBits(0x0001), 2 ** -24);
  assertEquals(halfTable()[0xfbff], -65504);
});
