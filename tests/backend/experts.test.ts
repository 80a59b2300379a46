import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Activation, ExpertsOp, Gating, IndexArray } from "../../src/backend/contract.ts";
import { seeded } from "../../tools/twin/packed.ts";
import * as on from "./device.ts";
import { base, expertTwin, layer, load, loadBase } from "./expert_blocks.ts";
import { NMSE } from "./tolerances.ts";

const FORMATS = [
  "2-bit group 64",
  "2-bit levels",
  "2-bit rotated",
  "2-bit trellis",
  "2-bit trellis per channel rotated",
  "3-bit group 64",
  "3-bit levels rotated",
  "4-bit group 32",
  "8-bit per channel",
  "f16",
];

/** Experts' format, and that of the base that they are added to. */
const CASES: readonly (readonly [string, string?])[] = [
  ...FORMATS.map((name) => [name] as const),
  ["2-bit group 64", "8-bit per channel"],
  ["2-bit trellis per channel rotated", "4-bit group 32"],
  ["2-bit levels", "2-bit rotated"],
  ["f16", "f16"],
];

interface Case {
  name: string;
  baseName?: string | undefined;
  activation: Activation | Gating;
  bias: boolean;
}

/** Experts of a case in waves, masked and whole: against float64, the same bits, and nothing else written. */
async function runCase(open: on.Open, { name, baseName, activation, bias }: Case, seed: number) {
  const random = seeded(seed), count = 6, d = 40, ff = 72, rows = 130;
  const hidden = activation === "relu" ? ff : 2 * ff,
    what = `${name} on ${baseName}, ${activation}`;
  const shared = baseName && on.FORMATS[baseName];
  const baseTwin = shared ? base(d, ff, shared, random, hidden) : undefined;
  const made = layer(count, d, ff, on.FORMATS[name]!, random, { bias, hidden });
  // A slot is roomier than a block, so that other operands fit in a binding of a few slots, too.
  const slotBytes = made.layout.bytes + 16384;
  const backend = await open({ maxBindingBytes: slotBytes * 4 - 1 });
  const loaded = loadBase(backend, baseTwin), arenas = backend.createArenas(slotBytes, 8);
  assertEquals(arenas.map((a) => a.slots), [3, 3, 2]);
  const resident = load(backend, arenas, made, [7, 0, 3, 2, 5, 4]);
  const x = on.randoms(rows * d, random);
  const chosen = Int32Array.from({ length: rows * 2 }, (_, i) => (i * 7 + (i >> 3)) % (count + 1));
  const mask = Int32Array.from({ length: rows }, (_, t) => t % 11 === 4 ? 0 : 1);
  const run = async (waves: number[][], m?: Int32Array) => {
    const out = on.tensor(backend, rows * 2, d);
    for (const wave of waves) {
      backend.experts({
        x: on.tensor(backend, rows, d, x),
        places: chosen.map((e) => wave.includes(e) ? resident[e]! : -1),
        topK: 2,
        arenas,
        layout: made.layout,
        layoutIndex: 0,
        base: loaded,
        activation,
        out,
        mask: m,
      });
    }
    return await on.read(backend, out);
  };
  const whole = await run([[0, 1, 2, 3, 4, 5]]);
  const actual: number[] = [], expected: number[] = [];
  for (let pair = 0; pair < rows * 2; pair++) {
    const got = whole.subarray(pair * d, (pair + 1) * d), t = pair >> 1;
    if (chosen[pair] === count) {
      assert(on.untouched(got), `pair ${pair} of an absent expert`);
      continue;
    }
    actual.push(...got);
    const row = x.subarray(t * d, (t + 1) * d);
    expected.push(...expertTwin(made, chosen[pair]!, row, { base: baseTwin, activation }));
  }
  on.assertNmse(actual, expected, NMSE.experts, what);
  on.assertSameBits(await run([[5], [3, 1], [], [0, 2, 4]]), whole, `${what} in waves`);
  const masked = await run([[0, 1, 2, 3, 4, 5]], mask);
  for (let pair = 0; pair < rows * 2; pair++) {
    const got = masked.subarray(pair * d, (pair + 1) * d);
    if (mask[pair >> 1] === 0) assert(on.untouched(got), `pair ${pair} is masked`);
    else on.assertSameBits(got, whole.subarray(pair * d, (pair + 1) * d), `pair ${pair}`);
  }
  backend.close();
}

on.each("experts: waves over several arenas against float64, whatever the split", async (open) => {
  for (const [i, [name, baseName]] of CASES.entries()) {
    await runCase(open, { name, baseName, activation: "relu", bias: name !== "f16" }, 61 + i);
  }
});

on.each("experts: gated ones, with and without bias and base, against float64", async (open) => {
  for (const [i, [name, baseName]] of CASES.entries()) {
    const activation = i % 2 === 0 ? "gated silu" : "clamped gated silu";
    await runCase(open, { name, baseName, activation, bias: i % 4 < 2 }, 161 + i);
  }
});

on.each("experts: a row's bits do not depend on how many share its expert", async (open) => {
  const random = seeded(62), d = 64, ff = 128, most = 40;
  for (const activation of ["relu", "gated silu", "clamped gated silu"] as const) {
    const hidden = activation === "relu" ? ff : 2 * ff;
    const made = layer(1, d, ff, on.FORMATS["2-bit group 64"]!, random, { hidden });
    const shared = base(d, ff, on.FORMATS["8-bit per channel"]!, random, hidden);
    const backend = await open(), arenas = backend.createArenas(made.layout.bytes, 1);
    const [place] = load(backend, arenas, made, [0]), x = on.randoms(most * d, random);
    const loaded = loadBase(backend, shared);
    const run = async (first: number, rows: number, withBase: boolean) => {
      const out = on.tensor(backend, rows, d);
      backend.experts({
        x: on.tensor(backend, rows, d, x.slice(first * d, (first + rows) * d)),
        places: new Int32Array(rows).fill(place!),
        topK: 1,
        arenas,
        layout: made.layout,
        layoutIndex: 0,
        base: withBase ? loaded : undefined,
        activation,
        out,
      });
      return await on.read(backend, out);
    };
    for (const withBase of [false, true]) {
      const whole = await run(0, most, withBase);
      for (let t = 0; t < most; t++) {
        const row = whole.subarray(t * d, (t + 1) * d);
        on.assertSameBits(await run(t, 1, withBase), row, `${activation}, row ${t} alone`);
      }
    }
    backend.close();
  }
});

on.each("experts: 8 and 16 of 128 a token, together and row by row", async (open) => {
  const random = seeded(65), d = 36, ff = 20, count = 128, rows = 5;
  const activation = "gated silu", hidden = 2 * ff;
  const made = layer(count, d, ff, on.FORMATS["4-bit group 32"]!, random, { hidden });
  const baseTwin = base(d, ff, on.FORMATS["f16"]!, random, hidden);
  for (const [topK, withBase] of [[8, false], [8, true], [16, false], [16, true]] as const) {
    // As many (row, rank) as scratch was prepared for: a chunk of experts on a base has more of them than rows.
    const backend = await open({ shape: { ...on.SHAPE, maxRows: rows, topK } });
    const arenas = backend.createArenas(made.layout.bytes, count);
    const order = [...Array(count).keys()].sort(() => random() - 0.5);
    const resident = load(backend, arenas, made, order);
    const loaded = withBase ? loadBase(backend, baseTwin) : undefined;
    const x = on.randoms(rows * d, random);
    const chosen = Array.from(
      { length: rows },
      () => [...order].sort(() => random() - 0.5).slice(0, topK),
    ).flat();
    const places = Int32Array.from(chosen, (e) => resident[e]!);
    const run = async (first: number, n: number, given: IndexArray) => {
      const out = on.tensor(backend, n * topK, d);
      const part = on.tensor(backend, n, d, x.slice(first * d, (first + n) * d));
      const { layout } = made,
        common = { topK, arenas, layout, layoutIndex: 0, activation } as const;
      backend.experts({ ...common, x: part, places: given, base: loaded, out });
      return await on.read(backend, out);
    };
    const whole = await run(0, rows, places), what = `top ${topK}, base ${withBase}`;
    const expected = chosen.flatMap((e, pair) => {
      const t = Math.floor(pair / topK), row = x.subarray(t * d, (t + 1) * d);
      return [...expertTwin(made, e, row, { base: withBase ? baseTwin : undefined, activation })];
    });
    on.assertNmse(whole, expected, NMSE.experts, what);
    on.assertSameBits(await run(0, rows, on.indices(backend, places)), whole, `${what}, on device`);
    for (let t = 0; t < rows; t++) {
      const row = whole.subarray(t * topK * d, (t + 1) * topK * d);
      const alone = await run(t, 1, places.slice(t * topK, (t + 1) * topK));
      on.assertSameBits(alone, row, `${what}, row ${t} alone`);
    }
    backend.close();
  }
});

on.each("experts: bases and projections of another shape are refused", async (open) => {
  const random = seeded(64), d = 64, ff = 72, f16 = on.FORMATS["f16"]!;
  const made = layer(1, d, ff, f16, random);
  const backend = await open(), arenas = backend.createArenas(made.layout.bytes, 1);
  const op: ExpertsOp = {
    x: on.tensor(backend, 1, d),
    places: Int32Array.from(load(backend, arenas, made, [0])),
    topK: 1,
    arenas,
    layout: made.layout,
    layoutIndex: 0,
    activation: "relu",
    out: on.tensor(backend, 1, d),
  };
  const right = loadBase(backend, base(d, ff, f16, random))!;
  const wrong = loadBase(backend, base(d, ff + 1, f16, random))!;
  backend.experts({ ...op, base: right });
  const fc1 = { ...right, fc1: wrong.fc1 }, fc2 = { ...right, fc2: wrong.fc2 };
  assertThrows(() => backend.experts({ ...op, base: fc1 }), RangeError, "the base's fc1");
  assertThrows(() => backend.experts({ ...op, base: fc2 }), RangeError, "the base's fc2");
  // fc2 reads all that fc1 gives, and half of it where that is gated.
  const gated: ExpertsOp = { ...op, activation: "gated silu" };
  assertThrows(() => backend.experts(gated), RangeError, "fc2");
  const { layout } = layer(1, d, ff, f16, random, { hidden: 2 * ff });
  const roomy = { ...op, layout, arenas: backend.createArenas(layout.bytes, 1) };
  backend.experts({ ...roomy, activation: "gated silu" });
  assertThrows(() => backend.experts(roomy), RangeError, "fc2");
  // Neither none nor more than were prepared for.
  assertThrows(() => backend.experts({ ...op, topK: 0 }), RangeError);
  const many = { topK: 3, places: new Int32Array(3), out: on.tensor(backend, 3, d) };
  assertThrows(() => backend.experts({ ...op, ...many }), RangeError);
  backend.close();
});
