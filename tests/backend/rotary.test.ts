import { assert, assertThrows } from "@std/assert";
import type { Backend, RotaryOp } from "../../src/backend/contract.ts";
import { gauss, type Random, seeded } from "../../tools/twin/packed.ts";
import { rotaryTwin } from "../../tools/twin/rotary.ts";
import * as on from "./device.ts";
import { NMSE } from "./tolerances.ts";

/** [head width, channels turned]: multiples of a vector and not, whole heads and a part of them. */
const WIDTHS: [number, number][] = [
  [2, 2],
  [6, 6],
  [6, 2],
  [6, 4],
  [64, 64],
  [64, 18],
  [80, 80],
  [80, 20],
  [128, 128],
  [128, 32],
];

/** Cosines and sines of `turned` / 2 angles a row. */
function angles(rows: number, turned: number, random: Random): Float32Array<ArrayBuffer> {
  const half = turned / 2, out = new Float32Array(rows * turned);
  for (let i = 0; i < rows * half; i++) {
    const at = i % half + 2 * (i - i % half), angle = gauss(random) * 3;
    out[at] = Math.cos(angle), out[at + half] = Math.sin(angle);
  }
  return out;
}

interface Case {
  heads: number;
  headDim: number;
  turned: number;
  pairs: RotaryOp["pairs"];
  weight: Float32Array<ArrayBuffer> | undefined;
}

/** Rows against float64, each alone and among masked ones. */
async function runCase(backend: Backend, c: Case, random: Random) {
  const { heads, headDim, turned, pairs, weight } = c, width = heads * headDim, rows = 5;
  const what = `${heads} x ${headDim}, ${turned} by ${pairs}, norm ${weight !== undefined}`;
  const x = on.randoms(rows * width, random, 2), turns = angles(rows, turned, random);
  const norm = weight && { weight: on.vector(backend, weight), epsilon: 1e-6 };
  const run = async (first: number, n: number, mask?: Int32Array) => {
    const t = on.tensor(backend, n, width, x.slice(first * width, (first + n) * width));
    const part = turns.slice(first * turned, (first + n) * turned);
    const given = on.tensor(backend, n, turned, part);
    backend.rotary({ x: t, heads, norm, angles: given, pairs, mask });
    on.assertSameBits(await on.read(backend, given), part, "the angles stay");
    return (await on.read(backend, t)).slice();
  };
  const whole = await run(0, rows), mask = Int32Array.of(1, 1, 0, 1, 0);
  const twinNorm = weight && { weight, epsilon: 1e-6 };
  const twin = rotaryTwin({ x, heads, headDim, norm: twinNorm, angles: turns, turned, pairs });
  on.assertNmse(whole, twin, NMSE.rotary, what);
  const masked = await run(0, rows, mask);
  for (let t = 0; t < rows; t++) {
    const [from, to] = [t * width, (t + 1) * width], row = whole.subarray(from, to);
    on.assertSameBits(await run(t, 1), row, `${what}: row ${t} alone`);
    const want = mask[t] === 0 ? x.subarray(from, to) : row;
    on.assertSameBits(masked.subarray(from, to), want, `${what}: row ${t} among masked ones`);
    if (weight !== undefined) continue;
    for (let i = from; i < to; i++) {
      if ((i - from) % headDim >= turned) assert(whole[i] === x[i], `${what}: channel ${i} moved`);
    }
  }
}

for (const pairs of ["halves", "neighbours"] as const) {
  on.each(
    `rotary, ${pairs}: heads of any width against float64, with and without norm`,
    async (open) => {
      const backend = await open(), random = seeded(93);
      for (const [headDim, turned] of WIDTHS) {
        for (const heads of headDim < 80 ? [1, 3] : [2]) {
          const weight = on.randoms(headDim, random).map((w) => w + 1);
          await runCase(backend, { heads, headDim, turned, pairs, weight: undefined }, random);
          await runCase(backend, { heads, headDim, turned, pairs, weight }, random);
        }
      }
      backend.close();
    },
  );
}

on.each("rotary: heads, angles and norms that do not fit are refused", async (open) => {
  const backend = await open(), rows = 2, x = on.tensor(backend, rows, 24);
  const run = (heads: number, turned: number, more: Partial<RotaryOp> = {}) => () =>
    backend.rotary({
      x,
      heads,
      angles: on.tensor(backend, rows, turned),
      pairs: "halves",
      ...more,
    });
  run(3, 8)();
  run(3, 4)();
  for (const [heads, turned] of [[5, 4], [8, 2], [0, 2], [3, 10], [3, 3]] as const) {
    assertThrows(run(heads, turned), RangeError);
  }
  const wrong = { weight: on.vector(backend, new Float32Array(24)), epsilon: 1e-6 };
  assertThrows(run(3, 8, { norm: wrong }), RangeError);
  assertThrows(run(3, 8, { angles: on.tensor(backend, 1, 8) }), RangeError);
  backend.close();
});
