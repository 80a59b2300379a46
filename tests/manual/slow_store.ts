/**
 * What parking is worth where blocks come slowly: the shipped model behind a store that waits before each answer,
 * 12 sentences together on an empty arena, then 24 that come one by one. `deno run -A tests/manual/slow_store.ts`
 */
import type { Job } from "../../src/engine/queue.ts";
import { Scheduler } from "../../src/engine/scheduler.ts";
import { FileStore } from "../../src/store/file_store.ts";
import { parseManifest } from "../../src/store/manifest.ts";
import { withPacked } from "../support/model.ts";
import { slowStore } from "../support/slow_store.ts";

const root = new URL("../../", import.meta.url);
const folder = new URL("models/tiny-en-de-fr-es/", root).pathname;
const manifest = parseManifest(await Deno.readTextFile(`${folder}manifest.json`), folder);
const golden = JSON.parse(
  await Deno.readTextFile(new URL("tests/goldens/shipped/tiny-en-de-fr-es.json", root)),
);
const sentences: { source: number[]; greedy: number[] }[] = golden.sentences.slice(0, 24);
const jobs = sentences.map((s): Job => ({
  source: Int32Array.from(s.source),
  prefix: s.greedy.slice(0, 2),
  forced: 1,
  beams: 1,
  lengthPenalty: 1,
  maxTokens: 32,
}));

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

console.log("delay slots steps   cold, 12 together   24 one by one   sentences that parked");
for (const delayMs of [5, 50]) {
  for (const maxSlots of [80, 40, 20]) {
    for (const steps of ["waves", "park", "auto"] as const) {
      const { store, begin } = slowStore(new FileStore(folder), delayMs);
      const options = { gpuBytes: 2 ** 28, maxBatchTokens: 128, maxSourceTokens: 128 };
      await withPacked(folder, manifest, async (m) => {
        begin();
        const scheduler = new Scheduler(m.model, m.spec, { maxRows: 128, maxQueue: 100, steps });
        const cold = await timed(() => scheduler.run(jobs.slice(0, 12)));
        const stream = await timed(() =>
          Promise.all(jobs.map((job, i) => pause(10 * i).then(() => scheduler.run([job]))))
        );
        const { faults } = scheduler.stats().decode;
        console.log(
          `${delayMs} ms ${maxSlots} ${steps}: ${cold.toFixed(0)} ms, ${
            stream.toFixed(0)
          } ms, ${faults}`,
        );
      }, { ...options, maxSlots, store });
    }
  }
}
