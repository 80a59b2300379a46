/** The whole model on several threads: tokens and scores with the bits of one thread. */
import { assertEquals } from "@std/assert";
import { Scheduler } from "../../src/engine/scheduler.ts";
import { parseManifest } from "../../src/store/manifest.ts";
import { GOLDENS } from "../support/golden.ts";
import type { Shipped } from "../support/agreement.ts";
import { withPacked } from "../support/model.ts";

Deno.test("the shipped model translates to the bit alike on one thread and on three", async () => {
  const folder = new URL("../../models/tiny-en-de-fr-es", import.meta.url).pathname;
  const manifest = parseManifest(await Deno.readTextFile(`${folder}/manifest.json`), folder);
  const golden: Shipped = JSON.parse(
    await Deno.readTextFile(new URL("shipped/tiny-en-de-fr-es.json", GOLDENS)),
  );
  const jobs = golden.sentences.slice(0, 12).map((s, i) => ({
    source: Int32Array.from(s.source),
    prefix: s.greedy.slice(0, 2),
    forced: 1,
    beams: i % 2 === 0 ? 1 : 4,
    lengthPenalty: 1,
    maxTokens: 32,
  }));
  const found: unknown[] = [];
  for (const threads of [1, 3]) {
    await withPacked(folder, manifest, async (m) => {
      const scheduler = new Scheduler(m.model, m.spec, { maxRows: m.maxRows, maxQueue: 100 });
      // Alone (one row a product) and together (many).
      found.push([await scheduler.run(jobs.slice(0, 1)), await scheduler.run(jobs)]);
    }, { threads, gpuBytes: 2 ** 27, maxBatchTokens: 256, maxSourceTokens: 128 });
  }
  assertEquals(found[1], found[0]);
});
