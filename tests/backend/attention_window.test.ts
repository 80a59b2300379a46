/** What decoder-only models ask of attention: grouped heads, sliding windows, sinks. */
import { assertThrows } from "@std/assert";
import { type Backend, type KvBits, PAGE_TOKENS } from "../../src/backend/contract.ts";
import { attentionTwin, keptTwin, keyIndex } from "../../tools/twin/attention.ts";
import { type Random, seeded } from "../../tools/twin/packed.ts";
import { fillPages, paged, segments } from "./attention_inputs.ts";
import * as on from "./device.ts";
import { NMSE } from "./tolerances.ts";

/** [query heads, key heads, head width]. */
const GROUPS: [number, number, number][] = [
  [8, 2, 16],
  [4, 1, 64],
  [6, 3, 5],
  [16, 4, 8],
  [2, 1, 128],
  [3, 3, 12],
];

on.each("segmentAttention: grouped heads against float64, a segment alone", async (open) => {
  const backend = await open(), random = seeded(101);
  for (const [heads, keyHeads, headDim] of GROUPS) {
    const d = heads * headDim,
      kd = keyHeads * headDim,
      what = `${heads} on ${keyHeads} x ${headDim}`;
    const { total, starts, lengths } = segments([1, 30, 260]);
    const q = on.randoms(total * d, random);
    const [k, v] = [0, 1].map(() => on.randoms(total * kd, random)) as [typeof q, typeof q];
    const run = async (first: number, at: Int32Array, each: Int32Array) => {
      const rows = at.length, out = on.tensor(backend, rows, d);
      backend.segmentAttention({
        q: on.tensor(backend, rows, d, q.slice(first * d)),
        k: on.tensor(backend, rows, kd, k.slice(first * kd)),
        v: on.tensor(backend, rows, kd, v.slice(first * kd)),
        heads,
        starts: at,
        lengths: each,
        out,
      });
      return await on.read(backend, out);
    };
    const whole = await run(0, starts, lengths);
    const expected = Array.from({ length: total }, (_, t) => {
      const base = starts[t]! * kd, row = q.subarray(t * d, (t + 1) * d);
      const [key, value] = [k, v].map((data) => (i: number, c: number) => data[base + i * kd + c]!);
      return [...attentionTwin(row, heads, lengths[t]!, key!, value!, { keyHeads })];
    }).flat();
    on.assertNmse(whole, expected, NMSE.attention, what);
    const alone = await run(31, new Int32Array(260), new Int32Array(260).fill(260));
    on.assertSameBits(alone, whole.subarray(31 * d), `${what}: a segment alone`);
  }
  backend.close();
});

interface Case {
  heads: number;
  keyHeads: number;
  headDim: number;
  bits: KvBits;
  lengths: number[];
  window?: number | undefined;
  sinks?: Float32Array<ArrayBuffer> | undefined;
}

/**
 * Rows over pages, all at once and each alone, against float64. What a row must not see is filled with large numbers,
 * and its table names no page before the window.
 */
async function runPaged(backend: Backend, c: Case, random: Random): Promise<Float32Array> {
  const { heads, keyHeads, headDim, bits, lengths, window } = c, rows = lengths.length;
  const d = heads * headDim, kd = keyHeads * headDim;
  const p = paged(backend, kd, lengths, random, bits), per = p.pagesPerRow;
  const q = on.randoms(rows * d, random), table = p.table.slice();
  const tableOf = (t: number) => p.table.subarray(t * per, (t + 1) * per);
  lengths.forEach((length, t) => {
    const first = Math.max(0, length - (window ?? length));
    table.fill(t % 2 === 0 ? -1 : 99_999, t * per, t * per + (first >> 4));
    for (const i of [...Array(per * PAGE_TOKENS).keys()].filter((i) => i < first || i >= length)) {
      const at = keyIndex(tableOf(t), i, 0, kd), value = at + PAGE_TOKENS * kd;
      p.data.fill(keptTwin(900 + t, bits), at, at + kd).fill(
        keptTwin(-7e3, bits),
        value,
        value + kd,
      );
    }
  });
  fillPages(backend, p.kv, p.data);
  const sinks = c.sinks && on.vector(backend, c.sinks);
  const run = async (first: number, n: number) => {
    const out = on.tensor(backend, n, d), pages = table.slice(first * per, (first + n) * per);
    backend.pagedAttention({
      q: on.tensor(backend, n, d, q.slice(first * d, (first + n) * d)),
      heads,
      kv: p.kv,
      pageTable: bits === 16 ? on.indices(backend, pages) : pages,
      pagesPerRow: per,
      lengths: p.lengths.slice(first, first + n),
      window,
      sinks,
      out,
    });
    return (await on.read(backend, out)).slice();
  };
  const whole = await run(0, rows), what = JSON.stringify({ ...c, sinks: c.sinks !== undefined });
  for (let t = 0; t < rows; t++) {
    const row = whole.subarray(t * d, (t + 1) * d);
    const twin = attentionTwin(
      q.subarray(t * d, (t + 1) * d),
      heads,
      lengths[t]!,
      (i, ch) => p.data[keyIndex(tableOf(t), i, ch, kd)]!,
      (i, ch) => p.data[keyIndex(tableOf(t), i, ch, kd) + PAGE_TOKENS * kd]!,
      { keyHeads, window, sinks: c.sinks },
    );
    on.assertNmse(row, twin, NMSE.attention, `${what}: row ${t}`);
    on.assertSameBits(await run(t, 1), row, `${what}: row ${t} alone`);
  }
  backend.free(p.store.buffer);
  return whole;
}

on.each("pagedAttention: grouped heads against float64, a row alone", async (open) => {
  const backend = await open(), random = seeded(102), lengths = [1, 16, 17, 256, 300];
  for (const [heads, keyHeads, headDim] of GROUPS) {
    for (const bits of [32, 16] as const) {
      if (bits === 16 && headDim % 2 === 1) continue;
      await runPaged(backend, { heads, keyHeads, headDim, bits, lengths }, random);
    }
  }
  backend.close();
});

on.each("pagedAttention: windows of any length, whatever the pages before them", async (open) => {
  const backend = await open(), random = seeded(103);
  const shape = { heads: 4, keyHeads: 2, headDim: 8 };
  for (const window of [1, 2, 15, 16, 17, 31, 32, 33, 128, 255, 256, 257, 300]) {
    const near = [-1, 0, 1, 2, 14, 15, 16, 17, 31, 32, 33, 256, 257].map((more) => window + more);
    const lengths = [...new Set([1, 16, 17, ...near])].filter((length) => length > 0);
    for (const bits of [32, 16] as const) {
      await runPaged(backend, { ...shape, bits, lengths, window }, random);
    }
  }
  backend.close();
});

on.each("pagedAttention: a window that hides nothing changes no bit", async (open) => {
  const backend = await open(), lengths = [1, 16, 100, 257];
  const shape = { heads: 4, keyHeads: 2, headDim: 12, lengths };
  for (const bits of [32, 16] as const) {
    const run = (window?: number) => runPaged(backend, { ...shape, bits, window }, seeded(104));
    const whole = await run();
    for (const window of [257, 5000, 2 ** 31]) {
      on.assertSameBits(await run(window), whole, `f${bits}, window ${window}`);
    }
  }
  backend.close();
});

on.each("pagedAttention: sinks take part in the softmax and have no value", async (open) => {
  const backend = await open(), random = seeded(105), lengths = [1, 2, 17, 130, 256, 257, 600];
  const shape = { heads: 4, keyHeads: 2, headDim: 16, lengths };
  const far = Float32Array.of(-1e4, -30, 12, 30);
  for (const bits of [32, 16] as const) {
    for (const window of [undefined, 1, 128, 300]) {
      for (const sinks of [on.randoms(4, random, 2), far]) {
        await runPaged(backend, { ...shape, bits, window, sinks }, random);
      }
    }
  }
  const none = await runPaged(backend, { ...shape, bits: 32 }, seeded(106));
  const low = new Float32Array(4).fill(-1e4);
  const least = await runPaged(backend, { ...shape, bits: 32, sinks: low }, seeded(106));
  on.assertNmse(least, none, NMSE.attention, "a sink far below every score");
  backend.close();
});

on.each("attention: heads, windows and sinks that do not fit are refused", async (open) => {
  const backend = await open(), random = seeded(107), d = 48;
  const p = paged(backend, 16, [20], random), { kv, table, pagesPerRow, lengths } = p;
  const q = on.tensor(backend, 1, d, on.randoms(d, random)), out = on.tensor(backend, 1, d);
  const op = { q, out, heads: 6, kv, pageTable: table, pagesPerRow, lengths };
  backend.pagedAttention({ ...op, window: 3, sinks: on.vector(backend, new Float32Array(6)) });
  // Heads of 12 and 3 channels make no whole key heads of 16; 9 heads are none of 48.
  for (const heads of [4, 16, 9, 0]) {
    assertThrows(() => backend.pagedAttention({ ...op, heads }), RangeError);
  }
  for (const window of [0, -1, 1.5, NaN]) {
    assertThrows(() => backend.pagedAttention({ ...op, window }), RangeError);
  }
  const sinks = on.vector(backend, new Float32Array(5));
  assertThrows(() => backend.pagedAttention({ ...op, sinks }), RangeError);
  const segment = { q, out, heads: 6, starts: new Int32Array(1), lengths: Int32Array.of(1) };
  // 20 channels are no whole heads of 8, and 6 heads cannot share 4.
  for (const cols of [20, 32]) {
    const k = on.tensor(backend, 1, cols);
    assertThrows(() => backend.segmentAttention({ ...segment, k, v: k }), RangeError);
  }
  const [right, wrong] = [16, 8].map((cols) => on.tensor(backend, 1, cols));
  backend.segmentAttention({ ...segment, k: right!, v: right! });
  assertThrows(() => backend.segmentAttention({ ...segment, k: right!, v: wrong! }), RangeError);
  // A page that a row sees must exist where the host knows the table.
  const stale = table.slice().fill(-1, 1, 2), late = { ...op, pageTable: stale };
  assertThrows(() => backend.pagedAttention({ ...late, window: 4 }), RangeError, "pages are 0 to");
  backend.pagedAttention({ ...op, pageTable: table.slice().fill(-1, 0, 1), window: 4 });
  const early = { ...op, pageTable: table.slice().fill(-1, 0, 1), window: 5 };
  assertThrows(() => backend.pagedAttention(early), RangeError, "pages are 0 to");
  backend.close();
});

on.each("storeKv: rows are as wide as the pages' keys", async (open) => {
  const backend = await open(), random = seeded(108), { kv } = paged(backend, 16, [20], random);
  const places = Int32Array.of(3), x = on.tensor(backend, 1, 16, on.randoms(16, random));
  backend.storeKv({ k: x, v: x, kv, places });
  const wide = on.tensor(backend, 1, 32);
  assertThrows(() => backend.storeKv({ k: wide, v: wide, kv, places }), RangeError);
  assertThrows(() => backend.storeKv({ k: x, v: wide, kv, places }), RangeError);
  backend.close();
});
