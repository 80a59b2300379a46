/**
 * What it is worth that encoder and decoder wait for experts beside each other: 24 sentences of the shipped model that
 * come one by one, on an empty arena, behind a store that answers after 200 ms. Another checkout of moqe is measured
 * with the same sentences; its seconds are mostly the store's: `deno run -A tests/manual/beside.ts [CHECKOUT]`
 */
import type { Job } from "../../src/engine/queue.ts";
import { slowStore } from "../support/slow_store.ts";

const root = Deno.args[0] ?? new URL("../../", import.meta.url).pathname;
const from = (path: string) => import(new URL(path, `file://${root}/`).href);
const { Scheduler }: typeof import("../../src/engine/scheduler.ts") = await from(
  "src/engine/scheduler.ts",
);
const { FileStore }: typeof import("../../src/store/file_store.ts") = await from(
  "src/store/file_store.ts",
);
const { parseManifest }: typeof import("../../src/store/manifest.ts") = await from(
  "src/store/manifest.ts",
);
const { withPacked }: typeof import("../support/model.ts") = await from("tests/support/model.ts");

const DELAY_MS = 200, EVERY_MS = 100;
const folder = `${root}/models/tiny-en-de-fr-es/`;
const manifest = parseManifest(await Deno.readTextFile(`${folder}manifest.json`), folder);
const golden = JSON.parse(
  await Deno.readTextFile(`${root}/tests/goldens/shipped/tiny-en-de-fr-es.json`),
);
const sentences: { source: number[]; greedy: number[] }[] = golden.sentences.slice(0, 24);
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

for (const maxSlots of [80, 40, 20]) {
  const { store, begin } = slowStore(new FileStore(folder), DELAY_MS);
  const options = { gpuBytes: 2 ** 28, maxBatchTokens: 128, maxSourceTokens: 128, maxSlots, store };
  await withPacked(folder, manifest, async (m) => {
    begin();
    const scheduler = new Scheduler(m.model, m.spec, { maxRows: 128, maxQueue: 100 });
    const took = await Promise.all(sentences.map(async (s, i) => {
      const job: Job = {
        source: Int32Array.from(s.source),
        prefix: s.greedy.slice(0, 2),
        forced: 1,
        beams: 1,
        lengthPenalty: 1,
        maxTokens: 32,
      };
      await pause(EVERY_MS * i);
      const start = performance.now();
      await scheduler.run([job]);
      return performance.now() - start;
    }));
    took.sort((a, b) => a - b);
    const mean = took.reduce((a, b) => a + b, 0) / took.length;
    const { steps } = scheduler.stats();
    console.log(
      `${maxSlots} slots: a sentence ${mean.toFixed(0)} ms, at most ${took.at(-1)!.toFixed(0)}; ` +
        `${m.fetcher.stats().requests} requests, ${steps.encode} encoder passes, ${steps.decode} steps`,
    );
  }, options);
}
