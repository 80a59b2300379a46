import { assertEquals, assertThrows } from "@std/assert";
import { type KvLayer, PAGE_TOKENS } from "../../src/backend/contract.ts";
import { keptTwin } from "../../tools/twin/attention.ts";
import { type Random, seeded } from "../../tools/twin/packed.ts";
import { toHalfBits } from "../../src/quant/half.ts";
import * as on from "./device.ts";

on.each("storeKv: rows go to their places, negative and masked ones nowhere", async (open) => {
  const backend = await open(), random = seeded(25), d = 10, pages = 3;
  const store = on.tensor(backend, pages * PAGE_TOKENS * 2, d);
  const kv = { buffer: store.buffer, offset: store.offset, pages, width: d, bits: 32 as const };
  const k = on.randoms(4 * d, random), v = on.randoms(4 * d, random);
  const places = Int32Array.from([47, -1, 16, 3]), mask = Int32Array.from([1, 1, 1, 0]);
  backend.storeKv({
    k: on.tensor(backend, 4, d, k),
    v: on.tensor(backend, 4, d, v),
    kv,
    places,
    mask,
  });
  const got = await on.read(backend, store);
  const rowAt = (place: number) => {
    const first = (place >> 4) * PAGE_TOKENS * 2 + (place & 15);
    return [first, first + PAGE_TOKENS].map((r) => got.slice(r * d, (r + 1) * d));
  };
  for (const t of [0, 2]) {
    const row = [k, v].map((x) => x.slice(t * d, (t + 1) * d));
    assertEquals(rowAt(places[t]!), row);
  }
  let written = 0;
  for (let r = 0; r < pages * PAGE_TOKENS * 2; r++) {
    if (!on.untouched(got.subarray(r * d, (r + 1) * d))) written++;
  }
  assertEquals(written, 4);
  const op = { k: on.tensor(backend, 1, d), v: on.tensor(backend, 1, d), kv };
  assertThrows(
    () => backend.storeKv({ ...op, places: Int32Array.of(48) }),
    RangeError,
    "places must be -1 to 47 (got 48)",
  );
  backend.close();
});

/** Numbers around every edge of the half's range: ties, subnormals, overflow, and some of any size. */
function edges(random: Random): Float32Array<ArrayBuffer> {
  const sizes = [
    0,
    2 ** -26,
    2 ** -25,
    2 ** -25 * 1.01,
    2 ** -24,
    3 * 2 ** -25,
    5 * 2 ** -25,
    1e-6,
  ];
  sizes.push(2 ** -14 - 2 ** -25, 2 ** -14 - 2 ** -26, 2 ** -14, 2 ** -14 * (1 + 2 ** -11));
  sizes.push(1 + 2 ** -11, 1 + 3 * 2 ** -11, 1 + 2 ** -11 + 2 ** -20, 2 - 2 ** -12, 2047.5, 4097);
  sizes.push(65504, 65519.99, 65520, 65536, 1e9, 3.4e38, Infinity, NaN);
  for (let i = 0; i < 238; i++) sizes.push(random() * 2 ** Math.round(44 * random() - 26));
  return Float32Array.from(sizes.flatMap((x) => [x, -x]));
}

on.each(
  "storeKv: f16 pages hold the nearest halves, bit for bit, never an infinity",
  async (open) => {
    const backend = await open(), random = seeded(31), data = edges(random);
    for (const d of [66, 264, 132]) {
      const rows = Math.floor(data.length / d),
        pages = 2,
        places = Int32Array.from({ length: rows }, (_, t) => 30 - t);
      const store = on.tensor(backend, pages * PAGE_TOKENS, d);
      const kv: KvLayer = {
        buffer: store.buffer,
        offset: store.offset,
        pages,
        width: d,
        bits: 16,
      };
      const k = data.slice(0, rows * d), v = k.toReversed();
      const mask = Int32Array.from({ length: rows }, (_, t) => t === 1 ? 0 : 1);
      const [tk, tv] = [k, v].map((x) => on.tensor(backend, rows, d, x));
      backend.storeKv({ k: tk!, v: tv!, kv, places, mask });
      const held = on.asBytes(await on.read(backend, store) as Float32Array<ArrayBuffer>);
      const halves = new Uint16Array(held.buffer, held.byteOffset, held.length / 2);
      const rowAt = (place: number, which: number) => {
        const first = ((place >> 4) * 2 * PAGE_TOKENS + which * PAGE_TOKENS + (place & 15)) * d;
        return [...halves.subarray(first, first + d)];
      };
      const want = (x: number) => Number.isNaN(x) ? "NaN" : toHalfBits(keptTwin(x, 16));
      const got = (h: number) => (h & 0x7fff) > 0x7c00 ? "NaN" : h;
      for (let t = 0; t < rows; t++) {
        [k, v].forEach((x, which) => {
          const found = rowAt(places[t]!, which);
          if (mask[t] === 0) {
            return assertEquals(new Set(found).size <= 2, true, "a masked row was written");
          }
          assertEquals(
            found.map(got),
            [...x.subarray(t * d, (t + 1) * d)].map(want),
            `${d}, row ${t}`,
          );
        });
      }
    }
    backend.close();
  },
);
