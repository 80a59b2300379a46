import { assert, assertThrows } from "@std/assert";
import { PAGE_TOKENS } from "../../src/backend/contract.ts";
import { attentionTwin, keyIndex } from "../../tools/twin/attention.ts";
import { seeded } from "../../tools/twin/packed.ts";
import { fillPages, paged, segments } from "./attention_inputs.ts";
import * as on from "./device.ts";
import { NMSE } from "./tolerances.ts";

/** [heads, head width]: multiples of a vector and not. */
const HEADS: [number, number][] = [[4, 8], [2, 16], [3, 64], [1, 128], [2, 12], [3, 5], [1, 1]];

on.each("segmentAttention: ragged segments against float64", async (open) => {
  const shape = { ...on.SHAPE, maxRows: 700 };
  const backend = await open({ shape }), random = seeded(21);
  for (const [heads, width] of HEADS) {
    const d = heads * width;
    const { total, starts, lengths } = segments(width === 8 ? [1, 600, 3] : [1, 7, 30, 2, 17]);
    const [q, k, v] = [0, 1, 2].map(() => on.randoms(total * d, random));
    const out = on.tensor(backend, total, d);
    const op = {
      q: on.tensor(backend, total, d, q),
      k: on.tensor(backend, total, d, k),
      v: on.tensor(backend, total, d, v),
      heads,
      starts,
      lengths: on.indices(backend, lengths),
      out,
    };
    backend.segmentAttention(op);
    const expected = new Float64Array(total * d);
    for (let t = 0; t < total; t++) {
      const row = q!.subarray(t * d, (t + 1) * d), base = starts[t]! * d;
      const one = attentionTwin(
        row,
        heads,
        lengths[t]!,
        (i, c) => k![base + i * d + c]!,
        (i, c) => v![base + i * d + c]!,
      );
      expected.set(one, t * d);
    }
    on.assertNmse(await on.read(backend, out), expected, NMSE.attention, `${heads} x ${width}`);
  }
  backend.close();
});

on.each("segmentAttention: a segment's bits do not depend on its neighbours", async (open) => {
  const shape = { ...on.SHAPE, maxRows: 1000 };
  const backend = await open({ shape }), random = seeded(22), d = 24, length = 300;
  const [q, k, v] = [0, 1, 2].map(() => on.randoms(length * d, random));
  const run = async (before: number, after: number) => {
    const { total, starts, lengths } = segments([before, length, after].filter((n) => n > 0));
    const place = (data: Float32Array<ArrayBuffer>) => {
      const all = on.randoms(total * d, random);
      all.set(data, before * d);
      return on.tensor(backend, total, d, all);
    };
    const out = on.tensor(backend, total, d);
    backend.segmentAttention({
      q: place(q!),
      k: place(k!),
      v: place(v!),
      heads: 2,
      starts,
      lengths,
      out,
    });
    return (await on.read(backend, out)).slice(before * d, (before + length) * d);
  };
  const alone = await run(0, 0);
  on.assertSameBits(await run(5, 0), alone, "after others");
  on.assertSameBits(await run(33, 61), alone, "between others");
  backend.close();
});

on.each("pagedAttention: pages in any order against float64", async (open) => {
  const backend = await open(), random = seeded(23);
  const cases = HEADS.flatMap(([heads, width]) =>
    ([32, 16] as const).map((bits) => ({ heads, width, bits }))
  );
  for (const { heads, width, bits } of cases) {
    if (bits === 16 && width % 2 === 1) continue;
    const d = heads * width, lengths = [1, 15, 16, 17, 100, 256, 257, 530];
    const p = paged(backend, d, lengths, random, bits), rows = lengths.length;
    const q = on.randoms(rows * d, random), out = on.tensor(backend, rows, d);
    backend.pagedAttention({
      q: on.tensor(backend, rows, d, q),
      heads,
      kv: p.kv,
      pageTable: width === 64 ? on.indices(backend, p.table) : p.table,
      pagesPerRow: p.pagesPerRow,
      lengths: p.lengths,
      out,
    });
    const expected = new Float64Array(rows * d);
    for (let t = 0; t < rows; t++) {
      const table = p.table.subarray(t * p.pagesPerRow, (t + 1) * p.pagesPerRow);
      const one = attentionTwin(
        q.subarray(t * d, (t + 1) * d),
        heads,
        lengths[t]!,
        (i, c) => p.data[keyIndex(table, i, c, d)]!,
        (i, c) => p.data[keyIndex(table, i, c, d) + PAGE_TOKENS * d]!,
      );
      expected.set(one, t * d);
    }
    const what = `${heads} x ${width}, f${bits}`;
    on.assertNmse(await on.read(backend, out), expected, NMSE.attention, what);
    backend.free(p.store.buffer);
  }
  backend.close();
});

on.each("pagedAttention: scores far apart, the highest in any block", async (open) => {
  const backend = await open(), random = seeded(27), d = 8, length = 800;
  const p = paged(backend, d, [length], random), q = new Float32Array(d).fill(1);
  for (const top of [0, 255, 256, 600, 799]) {
    const data = p.data.slice();
    for (let i = 0; i < length; i++) {
      const at = keyIndex(p.table, i, 0, d), score = i === top ? 400 : -300 - i / 10;
      data.fill(score / d, at, at + d);
    }
    fillPages(backend, p.kv, data);
    const out = on.tensor(backend, 1, d), { kv, pagesPerRow, lengths } = p;
    const query = on.tensor(backend, 1, d, q);
    backend.pagedAttention({
      q: query,
      heads: 1,
      kv,
      pageTable: p.table,
      pagesPerRow,
      lengths,
      out,
    });
    const at = keyIndex(p.table, top, 0, d) + PAGE_TOKENS * d;
    on.assertNmse(await on.read(backend, out), data.slice(at, at + d), 1e-13, `top at ${top}`);
  }
  backend.close();
});

on.each("pagedAttention: bits, masks and a table that does not fit at once", async (open) => {
  const backend = await open(), random = seeded(24), d = 32, rows = 40;
  const lengths = [...Array(rows).keys()].map((t) => t * 9 + 1);
  const p = paged(backend, d, lengths, random, 16);
  const q = on.randoms(rows * d, random);
  const run = async (list: number[], pagesPerRow: number, mask?: Int32Array) => {
    const table = new Int32Array(list.length * pagesPerRow).fill(-7);
    const queries = new Float32Array(list.length * d);
    list.forEach((t, i) => {
      table.set(p.table.subarray(t * p.pagesPerRow, (t + 1) * p.pagesPerRow), i * pagesPerRow);
      queries.set(q.subarray(t * d, (t + 1) * d), i * d);
    });
    const out = on.tensor(backend, list.length, d);
    backend.pagedAttention({
      q: on.tensor(backend, list.length, d, queries),
      heads: 2,
      kv: p.kv,
      pageTable: table,
      pagesPerRow,
      lengths: Int32Array.from(list, (t) => lengths[t]!),
      out,
      mask,
    });
    return await on.read(backend, out);
  };
  const all = [...Array(rows).keys()];
  const whole = await run(all, p.pagesPerRow);
  on.assertSameBits(await run(all, 5000), whole, "a wide table, in pieces");
  const mask = Int32Array.from(all, (t) => t % 3 === 1 ? 0 : 1);
  const masked = await run(all, 5000, mask);
  for (const t of all) {
    const row = whole.subarray(t * d, (t + 1) * d);
    on.assertSameBits(await run([t], p.pagesPerRow), row, `row ${t} alone`);
    const got = masked.subarray(t * d, (t + 1) * d);
    if (mask[t] === 0) assert(on.untouched(got), `row ${t} was written`);
    else on.assertSameBits(got, row, `row ${t} among masked ones`);
  }
  backend.close();
});

on.each("attention: f16 pages of odd heads are refused", async (open) => {
  const backend = await open(), random = seeded(32), d = 10;
  const p = paged(backend, d, [20], random, 16), { kv, table, pagesPerRow, lengths } = p;
  const q = on.tensor(backend, 1, d), out = on.tensor(backend, 1, d);
  const op = { q, out, heads: 2, kv, pageTable: table, pagesPerRow, lengths };
  assertThrows(() => backend.pagedAttention(op), RangeError, "even head width (got 5)");
  backend.close();
});

on.each("attention: a page or a segment that does not exist is refused", async (open) => {
  const backend = await open(), d = 8, random = seeded(26);
  const p = paged(backend, d, [20], random);
  const q = on.tensor(backend, 1, d), out = on.tensor(backend, 1, d);
  const { kv, pagesPerRow, lengths } = p;
  const op = { q, out, heads: 2, kv, pagesPerRow, lengths, pageTable: Int32Array.of(0, 99, 0) };
  assertThrows(() => backend.pagedAttention(op), RangeError, "pages are 0 to");
  const long = { ...op, lengths: Int32Array.of(49) };
  assertThrows(() => backend.pagedAttention(long), RangeError, "lengths must be 1 to 48");
  const segment = { q, k: q, v: q, out, heads: 2 };
  assertThrows(
    () =>
      backend.segmentAttention({ ...segment, starts: Int32Array.of(0), lengths: Int32Array.of(2) }),
    RangeError,
    "lengths must be 1 to 1",
  );
  assertThrows(() => backend.pagedAttention({ ...op, heads: 3 }), RangeError, "heads must divide");
  backend.close();
});
