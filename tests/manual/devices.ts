/**
 * The same sentences on the CPU and on the GPU that there is (a software one, if need be): how many give the same
 * tokens. A checkpoint is packed without quantization; without one, the shipped model runs, whose experts are 2-bit:
 *
 *   deno run -A tests/manual/devices.ts [CHECKPOINT]
 *
 * Sentences that part are printed with the step at which they do, and how close a call the goldens found them.
 */
import { modelAddress } from "../../src/cli/model.ts";
import { Scheduler } from "../../src/engine/scheduler.ts";
import { MANIFEST_NAME, parseManifest } from "../../src/store/manifest.ts";
import type { Shipped } from "../support/agreement.ts";
import { GOLDENS } from "../support/golden.ts";
import { packFolder, type TestModel, withPacked } from "../support/model.ts";

const golden: Shipped = JSON.parse(
  Deno.readTextFileSync(new URL("shipped/tiny-en-de-fr-es.json", GOLDENS)),
);
const widths = { experts: { bits: 16 }, trunk: { bits: 16 }, embedding: { bits: 16 } } as const;

/** Tokens and best score of every sentence, all in one scheduler. */
async function translate(m: TestModel): Promise<{ tokens: number[]; score: number }[]> {
  const scheduler = new Scheduler(m.model, m.spec, { maxRows: m.maxRows, maxQueue: 1000 });
  const found = await scheduler.run(golden.sentences.map((s) => ({
    source: Int32Array.from(s.source),
    prefix: s.greedy.slice(0, 2),
    forced: 1,
    beams: 1,
    lengthPenalty: 1,
    maxTokens: golden.max_new_tokens,
  })));
  return found.map(([best]) => ({ tokens: [...best!.tokens], score: best!.score }));
}

const [checkpoint] = Deno.args;
const temporary = await Deno.makeTempDir({ prefix: "moqe-devices-" });
try {
  const folder = checkpoint === undefined ? modelAddress(undefined) : temporary;
  const manifest = checkpoint === undefined
    ? parseManifest(await Deno.readTextFile(`${folder}/${MANIFEST_NAME}`), folder)
    : await packFolder(checkpoint, folder, widths);
  const results: Awaited<ReturnType<typeof translate>>[] = [];
  for (const device of ["cpu", "webgpu"] as const) {
    await withPacked(folder, manifest, async (m) => {
      const start = performance.now(), found = await translate(m);
      results.push(found);
      const tokens = found.reduce((n, f) => n + f.tokens.length, 0);
      const seconds = (performance.now() - start) / 1e3;
      console.log(
        `${m.backend.description}: ${tokens} tokens in ${seconds.toFixed(1)} s, ` +
          JSON.stringify(m.backend.counters()),
      );
    }, { device, gpuBytes: 512 * 2 ** 20, maxBatchTokens: 512, maxSourceTokens: 128 });
  }
  const [cpu, gpu] = results;
  let equal = 0, most = 0;
  golden.sentences.forEach((s, i) => {
    const a = cpu![i]!, b = gpu![i]!;
    const step = a.tokens.findIndex((t, k) => t !== b.tokens[k]);
    if (step < 0 && a.tokens.length === b.tokens.length) {
      equal++;
      most = Math.max(most, Math.abs(a.score - b.score));
    } else {
      console.log(
        `parts at step ${step}: ${s.text} (golden's least logit gap ${s.greedy_gap}, ` +
          `router gap ${s.router_gap})`,
      );
    }
  });
  console.log(`${equal} of ${golden.sentences.length} equal, scores at most ${most} apart`);
} finally {
  await Deno.remove(temporary, { recursive: true });
}
