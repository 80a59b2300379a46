import { assert, assertEquals, assertThrows } from "@std/assert";
import { F32 } from "../../src/base/layout.ts";
import { PLACE_SLOTS, placeOf, type SlotLookup } from "../../src/backend/contract.ts";
import { packedRandom, seeded } from "../../src/backend/cpu/twin/packed.ts";
import { lookUpTwin } from "../../src/backend/cpu/twin/router.ts";
import * as on from "./device.ts";
import { base, layer, load, loadBase } from "./expert_blocks.ts";

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
  for (const [rows, n, onDevice] of [[1, 3, false], [7, 5, true], [66, 9, false]] as const) {
    const backend = await open();
    const table = Int32Array.from(
      { length: n },
      (_, e) => e % 3 === 1 ? -1 : placeOf(e * 2, e % 2),
    );
    const { groupStarts, groupLengths } = groups(rows);
    const live = Int32Array.from({ length: rows }, (_, t) => groupStarts[t]! % 5 === 3 ? 0 : 1);
    for (const topK of [1, 2] as const) {
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
  "placedExperts: the bits of experts, over arenas and layouts, masked rows untouched",
  async (open, device) => {
    const random = seeded(72), d = 40, ff = 72, rows = 70;
    const wide = layer(3, d, ff, on.FORMATS["4-bit group 32"]!, random);
    const narrow = layer(3, d, ff, on.FORMATS["2-bit group 64"]!, random);
    // Roomier than a block, so that other operands fit in a binding of a few slots, too.
    const slotBytes = wide.layout.bytes + 16384;
    const backend = await open({ maxBindingBytes: slotBytes * 3 - 1 });
    const arenas = backend.createArenas(slotBytes, 7), per = arenas[0]!.slots;
    assertEquals(arenas.map((a) => a.slots), [2, 2, 2, 1]);
    const slots = [[6, 0, 3], [5, 1, 4]] as const, layers = [wide, narrow];
    const resident = layers.map((made, l) => load(backend, arenas, made, [...slots[l]!]));
    // Choices of the six experts, the first layout's first, and here and there one that is absent.
    const chosen = Int32Array.from({ length: rows * 2 }, (_, i) => (i * 5 + (i >> 2)) % 7);
    const places = Int32Array.from(
      chosen,
      (e) => e === 6 ? -1 : placeOf(slots[Math.floor(e / 3)]![e % 3]!, Math.floor(e / 3)),
    );
    const mask = Int32Array.from({ length: rows }, (_, t) => t % 9 === 2 ? 0 : 1);
    const x = on.tensor(backend, rows, d, on.randoms(rows * d, random));
    const common = { x, topK: 2, arenas, activation: "relu", mask } as const;
    // The second layout's experts are added to a base.
    const shared = base(d, ff, on.FORMATS["8-bit per channel"]!, random);
    const bases = [undefined, loadBase(backend, shared)];
    const expected = on.tensor(backend, rows * 2, d), out = on.tensor(backend, rows * 2, d);
    layers.forEach(({ layout }, l) => {
      const wave = resident[l]!.map((r) => ({ ...r, expert: r.expert + 3 * l }));
      backend.experts({
        ...common,
        layout,
        base: bases[l],
        wave,
        out: expected,
        experts: on.indices(backend, chosen),
      });
      const range = on.indices(backend, places);
      const placed = { ...common, layout, layoutIndex: l, base: bases[l] };
      backend.placedExperts({ ...placed, out, places: range });
    });
    on.assertSameBits(await on.read(backend, out), await on.read(backend, expected), "placed");
    assertEquals(per, 2);
    const beyond = on.indices(backend, new Int32Array(rows * 2).fill(PLACE_SLOTS - 1));
    const op = { ...common, layout: wide.layout, layoutIndex: 0, places: beyond };
    if (device === "cpu") {
      assertThrows(
        () => backend.placedExperts({ ...op, out }),
        RangeError,
        "an expert lies in a slot of an arena",
      );
    } else {
      // Nobody can look at places on a GPU: such pairs are left alone.
      const untouched = on.tensor(backend, rows * 2, d);
      backend.placedExperts({ ...op, out: untouched });
      assert(on.untouched(await on.read(backend, untouched)));
    }
    backend.close();
  },
);
