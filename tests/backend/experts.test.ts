import { assert, assertEquals, assertThrows } from "@std/assert";
import type { ExpertsOp } from "../../src/backend/contract.ts";
import { seeded } from "../../src/backend/cpu/twin/packed.ts";
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

on.each("experts: waves over several arenas against float64, whatever the split", async (open) => {
  const random = seeded(61), count = 6, d = 40, ff = 72, rows = 130;
  for (const [name, baseName] of CASES) {
    const shared = baseName && on.FORMATS[baseName];
    const baseTwin = shared ? base(d, ff, shared, random) : undefined;
    const made = layer(count, d, ff, on.FORMATS[name]!, random, name !== "f16");
    // A slot is roomier than a block, so that other operands fit in a binding of a few slots, too.
    const slotBytes = made.layout.bytes + 16384;
    const backend = await open({ maxBindingBytes: slotBytes * 4 - 1 });
    const loaded = loadBase(backend, baseTwin);
    const arenas = backend.createArenas(slotBytes, 8);
    assertEquals(arenas.map((a) => a.slots), [3, 3, 2]);
    const resident = load(backend, arenas, made, [7, 0, 3, 2, 5, 4]);
    const x = on.randoms(rows * d, random);
    const chosen = Int32Array.from(
      { length: rows * 2 },
      (_, i) => (i * 7 + (i >> 3)) % (count + 1),
    );
    const mask = Int32Array.from({ length: rows }, (_, t) => t % 11 === 4 ? 0 : 1);
    const ids = on.indices(backend, chosen);
    const run = async (waves: number[][], m?: Int32Array) => {
      const out = on.tensor(backend, rows * 2, d);
      for (const wave of waves) {
        const op: ExpertsOp = {
          x: on.tensor(backend, rows, d, x),
          experts: ids,
          topK: 2,
          arenas,
          wave: wave.map((e) => resident[e]!),
          layout: made.layout,
          base: loaded,
          activation: "relu",
          out,
          mask: m,
        };
        backend.experts(op);
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
      const row = x.slice(t * d, (t + 1) * d);
      expected.push(...expertTwin(made, chosen[pair]!, row, { d, ff, base: baseTwin }));
    }
    on.assertNmse(actual, expected, NMSE.experts, `${name} on ${baseName}`);
    on.assertSameBits(await run([[5], [3, 1], [], [0, 2, 4]]), whole, `${name} in waves`);
    const masked = await run([[0, 1, 2, 3, 4, 5]], mask);
    for (let pair = 0; pair < rows * 2; pair++) {
      const got = masked.subarray(pair * d, (pair + 1) * d);
      if (mask[pair >> 1] === 0) assert(on.untouched(got), `pair ${pair} is masked`);
      else on.assertSameBits(got, whole.subarray(pair * d, (pair + 1) * d), `pair ${pair}`);
    }
    backend.close();
  }
});

on.each("experts: a row's bits do not depend on how many share its expert", async (open) => {
  const random = seeded(62), d = 64, ff = 128, most = 40;
  const made = layer(1, d, ff, on.FORMATS["2-bit group 64"]!, random);
  const shared = base(d, ff, on.FORMATS["8-bit per channel"]!, random);
  const backend = await open(), arenas = backend.createArenas(made.layout.bytes, 1);
  const wave = load(backend, arenas, made, [0]), x = on.randoms(most * d, random);
  const loaded = loadBase(backend, shared);
  const run = async (first: number, rows: number, withBase: boolean) => {
    const out = on.tensor(backend, rows, d);
    backend.experts({
      x: on.tensor(backend, rows, d, x.slice(first * d, (first + rows) * d)),
      experts: on.indices(backend, new Int32Array(rows)),
      topK: 1,
      arenas,
      wave,
      layout: made.layout,
      base: withBase ? loaded : undefined,
      activation: "relu",
      out,
    });
    return await on.read(backend, out);
  };
  for (const withBase of [false, true]) {
    const whole = await run(0, most, withBase);
    for (let t = 0; t < most; t++) {
      const row = whole.subarray(t * d, (t + 1) * d);
      on.assertSameBits(await run(t, 1, withBase), row, `row ${t} alone`);
    }
  }
  backend.close();
});

on.each("experts: a base of another shape is refused", async (open) => {
  const random = seeded(64), d = 64, ff = 72, f16 = on.FORMATS["f16"]!;
  const made = layer(1, d, ff, f16, random);
  const backend = await open(), arenas = backend.createArenas(made.layout.bytes, 1);
  const op: Omit<ExpertsOp, "base"> = {
    x: on.tensor(backend, 1, d),
    experts: on.indices(backend, new Int32Array(1)),
    topK: 1,
    arenas,
    wave: load(backend, arenas, made, [0]),
    layout: made.layout,
    activation: "relu",
    out: on.tensor(backend, 1, d),
  };
  const right = loadBase(backend, base(d, ff, f16, random))!;
  const wrong = loadBase(backend, base(d, ff + 1, f16, random))!;
  backend.experts({ ...op, base: right });
  const fc1 = { ...right, fc1: wrong.fc1 }, fc2 = { ...right, fc2: wrong.fc2 };
  assertThrows(() => backend.experts({ ...op, base: fc1 }), RangeError, "the base's fc1");
  assertThrows(() => backend.experts({ ...op, base: fc2 }), RangeError, "the base's fc2");
  backend.close();
});

on.each("experts: a slot that does not exist is refused", async (open) => {
  const random = seeded(63), d = 64, made = layer(1, d, 64, on.FORMATS["f16"]!, random);
  const backend = await open(), arenas = backend.createArenas(made.layout.bytes, 1);
  const op: ExpertsOp = {
    x: on.tensor(backend, 1, d),
    experts: on.indices(backend, new Int32Array(1)),
    topK: 1,
    arenas,
    wave: [{ expert: 0, arena: 0, slot: 1 }],
    layout: made.layout,
    activation: "relu",
    out: on.tensor(backend, 1, d),
  };
  assertThrows(() => backend.experts(op), RangeError, "an expert lies in a slot of an arena");
  const nowhere = { ...op, wave: [{ expert: 0, arena: 1, slot: 0 }] };
  assertThrows(() => backend.experts(nowhere), RangeError, "an expert lies in a slot");
  backend.close();
});
