import { assertThrows } from "@std/assert";
import { F32 } from "../../src/base/layout.ts";
import { type Backend, PAGE_TOKENS } from "../../src/backend/contract.ts";
import { attentionTwin, keyIndex } from "../../tools/twin/attention.ts";
import { packedRandom, type Random, seeded } from "../../tools/twin/packed.ts";
import { paged, segments } from "./attention_inputs.ts";
import * as on from "./device.ts";
import { NMSE } from "./tolerances.ts";

/** A bias table of random values on the device, and what it adds by distance and head. */
function distanceBias(backend: Backend, heads: number, reach: number, random: Random) {
  const packed = packedRandom(9, heads, F32, random);
  const buckets = Int32Array.from({ length: 2 * reach + 1 }, (_, i) => i * 5 % 9);
  const bias = { table: on.matrix(backend, packed), buckets: on.indices(backend, buckets), reach };
  const at = (distance: number, head: number) => {
    const near = Math.max(-reach, Math.min(reach, distance));
    return packed.dense[buckets[near + reach]! * heads + head]!;
  };
  return { bias, at };
}

on.each(
  "attention with a bias by distance and a scale of its own, against float64",
  async (open) => {
    const backend = await open({ shape: { ...on.SHAPE, maxRows: 700 } }), random = seeded(28);
    for (const [heads, width, reach] of [[4, 8, 128], [3, 5, 6], [1, 16, 1]] as const) {
      const d = heads * width, { bias, at } = distanceBias(backend, heads, reach, random);
      const { total, starts, lengths } = segments([1, 300, 3]);
      const [q, k, v] = [0, 1, 2].map(() => on.randoms(total * d, random));
      const out = on.tensor(backend, total, d);
      const [tq, tk, tv] = [q, k, v].map((data) => on.tensor(backend, total, d, data));
      const op = { q: tq!, k: tk!, v: tv!, heads, scale: 1, bias };
      backend.segmentAttention({ ...op, starts, lengths, out });
      const expected = new Float64Array(total * d);
      for (let t = 0; t < total; t++) {
        const start = starts[t]!, own = t - start;
        const one = attentionTwin(
          q!.subarray(t * d, (t + 1) * d),
          heads,
          lengths[t]!,
          (i, c) => k![(start + i) * d + c]!,
          (i, c) => v![(start + i) * d + c]!,
          { scale: 1, bias: (i, h) => at(i - own, h) },
        );
        expected.set(one, t * d);
      }
      on.assertNmse(await on.read(backend, out), expected, NMSE.attention, `segments, ${reach}`);

      const rows = [1, 16, 17, 300];
      const p = paged(backend, d, rows, random, width % 2 === 0 ? 16 : 32);
      const queries = on.randoms(rows.length * d, random),
        paging = on.tensor(backend, rows.length, d);
      backend.pagedAttention({
        q: on.tensor(backend, rows.length, d, queries),
        heads,
        kv: p.kv,
        pageTable: p.table,
        pagesPerRow: p.pagesPerRow,
        lengths: p.lengths,
        out: paging,
        scale: 1,
        bias,
      });
      const wanted = rows.flatMap((length, t) => {
        const table = p.table.subarray(t * p.pagesPerRow, (t + 1) * p.pagesPerRow);
        return [...attentionTwin(
          queries.subarray(t * d, (t + 1) * d),
          heads,
          length,
          (i, c) => p.data[keyIndex(table, i, c, d)]!,
          (i, c) => p.data[keyIndex(table, i, c, d) + PAGE_TOKENS * d]!,
          { scale: 1, bias: (i, h) => at(i - (length - 1), h) },
        )];
      });
      on.assertNmse(await on.read(backend, paging), wanted, NMSE.attention, `pages, ${reach}`);
    }
    backend.close();
  },
);

Deno.test("cpu, a bias whose buckets are no rows of its table is refused", async () => {
  const backend = await on.cpu(), random = seeded(29), d = 8;
  const { bias } = distanceBias(backend, 2, 1, random);
  const x = on.tensor(backend, 1, d, on.randoms(d, random)), out = on.tensor(backend, 1, d);
  const one = Int32Array.of(1), op = { q: x, k: x, v: x, heads: 2, starts: Int32Array.of(0), out };
  const wrong = { ...bias, buckets: on.indices(backend, Int32Array.of(0, 9, 1)) };
  assertThrows(
    () => backend.segmentAttention({ ...op, lengths: one, bias: wrong }),
    RangeError,
    "buckets must be 0 to 8 (got 9)",
  );
  backend.close();
});
