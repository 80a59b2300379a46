import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { F32 } from "../../src/base/layout.ts";
import {
  type IndexArray,
  PLACE_SLOTS,
  placeOf,
  type SlotLookup,
} from "../../src/backend/contract.ts";
import { packedRandom, seeded } from "../../tools/twin/packed.ts";
import { lookUpTwin } from "../../tools/twin/router.ts";
import * as on from "./device.ts";
import { base, expertTwin, layer, load, loadBase } from "./expert_blocks.ts";
import { NMSE } from "./tolerances.ts";

const MARK = -77;

/** Groups of 1, 2, 3, 4, 1, ... rows as starts and lengths a row. */
function groups(rows: number): { groupStarts: Int32Array; groupLengths: Int32Array } {
  const groupStarts = new Int32Array(rows), groupLengths = new Int32Array(rows);
  for (let start = 0, size = 1; start < rows; start += size, size = size % 4 + 1) {
    const length = Math.min(size, rows - start);
    groupStarts.fill(start, start, start + length);
    groupLengths.fill(length, start, start + length);
  }
  return { groupStarts, groupLengths };
}

on.each("router lookup: places, and a group stops where one of its rows misses", async (open) => {
  const random = seeded(71), d = 40, layerIndex = 5;
  for (const [rows, n, onDevice] of [[1, 3, false], [7, 5, true], [66, 40, false]] as const) {
    const backend = await open({ shape: on.MANY_EXPERTS });
    const { groupStarts, groupLengths } = groups(rows);
    const live = Int32Array.from({ length: rows }, (_, t) => groupStarts[t]! % 5 === 3 ? 0 : 1);
    for (const topK of [1, 2, 8, 16].filter((k) => k <= n)) {
      // The more a row chooses, the fewer are absent, so that some groups stop and some do not.
      const table = Int32Array.from(
        { length: n },
        (_, e) => e % (2 * topK + 1) === 1 ? -1 : placeOf(e * 2, e % 2),
      );
      const marked = (count: number) => on.indices(backend, new Int32Array(count).fill(MARK));
      const experts = marked(rows * topK), places = marked(rows * topK), faults = marked(rows);
      const lookup: SlotLookup = {
        // Not at the start of its buffer: a layer's part of the whole model's table.
        table: {
          ...on.indices(backend, Int32Array.from([...Array(64).fill(-1), ...table])),
          offset: 256,
        },
        places,
        live: on.indices(backend, live.slice()),
        faults,
        layer: layerIndex,
        groupStarts: onDevice ? on.indices(backend, groupStarts.slice()) : groupStarts,
        groupLengths: onDevice ? on.indices(backend, groupLengths.slice()) : groupLengths,
      };
      const op = {
        x: on.tensor(backend, rows, d, on.randoms(rows * d, random)),
        classifier: on.matrix(backend, packedRandom(n, d, F32, random)),
        topK,
        weighting: "share" as const,
        experts,
        weights: on.tensor(backend, rows, topK),
        mask: lookup.live,
        lookup,
      };
      backend.router(op);
      const read = async (
        r: { buffer: typeof experts.buffer; offset: number },
        count: number,
      ) => [...new Int32Array((await backend.readback(r.buffer, r.offset, count * 4)).buffer)];
      const chosen = await read(experts, rows * topK);
      const twin = lookUpTwin({ experts: chosen, topK, table, live, groupStarts, groupLengths });
      assertEquals(await read(places, rows * topK), twin.places.map((p) => p ?? MARK));
      assertEquals(await read(faults, rows), twin.stopped.map((s) => s ? layerIndex : MARK));
      assertEquals(
        await read(lookup.live, rows),
        twin.stopped.map((s, t) => s ? 0 : live[t]!),
        "only stopped rows are cleared",
      );
      if (rows > 1) {
        assert(twin.stopped.includes(true) && twin.stopped.some((s, t) => !s && live[t] === 1));
      }
      const free = { ...op, mask: live };
      assertThrows(() => backend.router(free), RangeError, "the mask is the live rows");
    }
    backend.close();
  }
});

on.each(
  "experts: places of the host or on the device, over arenas and layouts, have the same bits",
  async (open, device) => {
    const random = seeded(72), d = 40, ff = 72, rows = 70;
    const wide = layer(3, d, ff, on.FORMATS["4-bit group 32"]!, random);
    const narrow = layer(3, d, ff, on.FORMATS["2-bit group 64"]!, random);
    // Roomier than a block, so that other operands fit in a binding of a few slots, too.
    const slotBytes = wide.layout.bytes + 16384;
    const backend = await open({ maxBindingBytes: slotBytes * 3 - 1 });
    const arenas = backend.createArenas(slotBytes, 7), layers = [wide, narrow];
    assertEquals(arenas.map((a) => a.slots), [2, 2, 2, 1]);
    const slots = [[6, 0, 3], [5, 1, 4]];
    const resident = layers.flatMap((made, l) => load(backend, arenas, made, slots[l]!, l));
    // Choices of the six experts, the first layout's first, and here and there one that is absent.
    const chosen = Int32Array.from({ length: rows * 2 }, (_, i) => (i * 5 + (i >> 2)) % 7);
    const places = chosen.map((e) => resident[e] ?? -1);
    const mask = Int32Array.from({ length: rows }, (_, t) => t % 9 === 2 ? 0 : 1);
    const data = on.randoms(rows * d, random), x = on.tensor(backend, rows, d, data);
    const common = { x, topK: 2, arenas, activation: "relu", mask } as const;
    // The second layout's experts are added to a base.
    const shared = base(d, ff, on.FORMATS["8-bit per channel"]!, random);
    const bases = [undefined, loadBase(backend, shared)];
    /** Each call has the places of one layout, or of several: it runs its own. */
    const run = async (calls: [layoutIndex: number, places: IndexArray][]) => {
      const out = on.tensor(backend, rows * 2, d);
      for (const [l, of] of calls) {
        const { layout } = layers[l]!, at = { layout, layoutIndex: l, base: bases[l] };
        backend.experts({ ...common, ...at, places: of, out });
      }
      return await on.read(backend, out);
    };
    const expected = await run([[0, places], [1, places]]);
    for (let pair = 0; pair < rows * 2; pair++) {
      const got = expected.subarray(pair * d, (pair + 1) * d), t = pair >> 1, e = chosen[pair]!;
      if (e === 6 || mask[t] === 0) {
        assert(on.untouched(got), `pair ${pair} was written`);
        continue;
      }
      const l = Math.floor(e / 3), row = data.subarray(t * d, (t + 1) * d);
      const twin = expertTwin(layers[l]!, e % 3, row, { base: l === 0 ? undefined : shared });
      on.assertNmse(got, twin, NMSE.experts, `pair ${pair}`);
    }
    const range = on.indices(backend, places);
    on.assertSameBits(await run([[1, range], [0, range]]), expected, "on the device");
    const only = (keep: (e: number) => boolean) => places.map((p, i) => keep(chosen[i]!) ? p : -1);
    const waves = [0, 1].flatMap((l) =>
      [0, 1].map((part): [number, IndexArray] => [l, only((e) => e % 2 === part)])
    );
    on.assertSameBits(await run(waves), expected, "in waves, by the host");
    const devices = waves.map(([l, p]): [number, IndexArray] => {
      return [l, on.indices(backend, p as Int32Array<ArrayBuffer>)];
    });
    on.assertSameBits(await run(devices), expected, "in waves, on the device");

    const beyond = new Int32Array(rows * 2).fill(PLACE_SLOTS - 1);
    if (device === "cpu") {
      for (const nowhere of [beyond, on.indices(backend, beyond), beyond.fill(7)]) {
        const error = "an expert lies in a slot of an arena";
        await assertRejects(() => run([[0, nowhere]]), RangeError, error);
      }
    } else {
      // Nobody can look at places on a GPU: such pairs are left alone.
      assert(on.untouched(await run([[0, on.indices(backend, beyond)]])));
    }
    backend.close();
  },
);
