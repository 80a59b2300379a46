import { assert, assertEquals } from "@std/assert";
import { PAGE_TOKENS } from "../../src/backend/contract.ts";
import { PagePool } from "../../src/engine/pages.ts";
import { pagesNeeded, Sequence } from "../../src/engine/sequence.ts";

Deno.test("a page is free again when its last reference goes", () => {
  const pool = new PagePool(2);
  const page = pool.take();
  pool.share(page);
  pool.release(page);
  assertEquals(pool.used, 1);
  pool.release(page);
  assertEquals(pool.used, 0);
});

Deno.test("promises are refused beyond the pool and given back", () => {
  const pool = new PagePool(3);
  assert(pool.promise(3));
  assert(!pool.promise(1));
  pool.unpromise(2);
  assert(pool.promise(2));
});

/**
 * The promise that admission relies on: whatever beams fork and die, a sentence never holds more pages than
 * it was promised, a hypothesis never writes to a page that another one reads, and all come back.
 */
Deno.test("forking beams stay within their promise and never share the page they write to", () => {
  let seed = 3;
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  for (const beams of [1, 2, 4, 8]) {
    const maxTokens = 70, source = 37;
    const pool = new PagePool(pagesNeeded({ source, given: 1, beams, maxTokens }));
    assert(pool.promise(pool.count));
    const written = new Map<number, string>();
    const copy = (from: number, to: number) => void written.set(to, written.get(from) ?? "");
    const job = {
      prefix: [2, 9],
      forced: 1,
      source: new Int32Array(source),
      beams,
      lengthPenalty: 1,
      maxTokens,
    };
    const sequence = new Sequence(job, { pool, copyPage: copy, eos: [2] });
    const places = new Set(Array.from({ length: source }, (_, i) => sequence.crossPlace(i)));
    assertEquals(places.size, source);
    while (!sequence.search.done) {
      const rows = sequence.rows();
      const targets = rows.map((r) => r.pages[Math.floor(r.index / PAGE_TOKENS)]!);
      if (rows[0]!.index > 0) assertEquals(new Set(targets).size, rows.length);
      for (const [i, r] of rows.entries()) {
        assertEquals(
          r.pages.length,
          Math.floor(Math.max(...rows.map((x) => x.index)) / PAGE_TOKENS) + 1,
        );
        assert(!pool.isShared(targets[i]!));
      }
      assert(pool.used <= pool.count);
      const n = sequence.search.candidates;
      sequence.advance(sequence.search.running.map(() => {
        const ids = Array.from({ length: n }, (_, i) => 3 + i);
        const logProbs = ids.map(() => -random()).sort((a, b) => b - a);
        return { ids, logProbs };
      }));
    }
    sequence.close();
    assertEquals(pool.used, 0);
    assert(pool.promise(pool.count));
  }
});
