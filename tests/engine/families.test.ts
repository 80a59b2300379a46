/**
 * The promise of results for every family: tokens and scores are the same bits under any budget, --max-batch-tokens,
 * arena, chunk of a prefix, kind of step and company.
 */
import { assert, assertEquals } from "@std/assert";
import type { StepMode } from "../../src/engine/decoder.ts";
import type { Job } from "../../src/engine/queue.ts";
import { Scheduler } from "../../src/engine/scheduler.ts";
import type { Finished } from "../../src/engine/search.ts";
import type { Manifest } from "../../src/store/manifest.ts";
import {
  type DecoderFamily,
  DECODERS,
  packDecoder,
  readDecoderGolden,
} from "../support/decoders.ts";
import { ARCHITECTURES, goldenFolder, prefixOf, readGolden } from "../support/golden.ts";
import { packFolder, type TestModel, withPacked } from "../support/model.ts";

const WIDTHS = { experts: { bits: 2 }, trunk: { bits: 8 }, embedding: { bits: 8 } } as const;
const BATCHES = [1, 7, 32, 512];
/** Ways to run, a family. */
const CASES = 16;
const MAX_SOURCE = 24;
const SEARCH = { lengthPenalty: 1, maxTokens: 12 };

type Family = typeof ARCHITECTURES[number] | DecoderFamily;
const isDecoder = (family: Family): family is DecoderFamily =>
  (DECODERS as readonly string[]).includes(family);

/** Deterministic numbers from 0 to 1. */
function random(seed: number): () => number {
  return () => {
    seed = Math.imul(seed ^ (seed >>> 15), 0x2c1b3c6d) + 0x9e3779b9 | 0;
    return ((seed ^ (seed >>> 13)) >>> 0) / 2 ** 32;
  };
}

function jobsOf(family: Family): Job[] {
  if (!isDecoder(family)) {
    return readGolden("baseline", family).sentences.flatMap((s) =>
      [1, 4].map((beams) => ({
        source: Int32Array.from(s.source),
        ...prefixOf(s),
        beams,
        ...SEARCH,
      }))
    );
  }
  const prompts = readDecoderGolden(family, "baseline").prompts.map((p) => p.tokens);
  // Longer than many passes, and with a beginning that another has, too.
  const long = [...prompts[2]!, ...prompts[1]!, ...prompts[2]!, ...prompts[0]!];
  return [...prompts, long, long.slice(0, 60)].flatMap((prefix) =>
    [1, 4].map((beams) => ({ prefix, beams, ...SEARCH }))
  );
}

const pack = (family: Family, out: string): Promise<Manifest> =>
  isDecoder(family)
    ? packDecoder(family, "baseline", out, WIDTHS)
    : packFolder(goldenFolder("baseline", family), out, WIDTHS);

type Company = "alone" | "together" | "later" | "shuffled";

/** Runs all jobs in some company; results in the order of the jobs. */
async function run(
  m: TestModel,
  jobs: readonly Job[],
  { maxRows = m.maxRows, steps = "auto", company = "together", next = Math.random }: {
    maxRows?: number;
    steps?: StepMode;
    company?: Company;
    next?: () => number;
  } = {},
): Promise<Finished[][]> {
  const scheduler = new Scheduler(m.model, m.spec, { maxRows, maxQueue: 100, steps });
  if (company === "together") return await scheduler.run(jobs);
  if (company === "alone") {
    return (await Array.fromAsync(jobs, (job) => scheduler.run([job]))).flat();
  }
  const results: Finished[][] = [];
  const order = jobs.map((job, i) => ({ job, i, at: next() })).sort((a, b) => a.at - b.at);
  const runs: Promise<void>[] = [];
  for (const { job, i } of order) {
    runs.push(scheduler.run([job]).then(([found]) => void (results[i] = found!)));
    // It joins after some steps of the others.
    const seen = scheduler.stats().steps.decode + Math.floor(4 * next());
    while (company === "later" && scheduler.stats().steps.decode < seen) {
      if (scheduler.stats().queue.running + scheduler.stats().queue.waiting === 0) break;
      await new Promise((resolve) => setTimeout(resolve));
    }
  }
  await Promise.all(runs);
  return results;
}

for (const family of [...ARCHITECTURES, ...DECODERS]) {
  Deno.test(`${family}: the same bits under any budget, batch size, arena, chunk and company`, async () => {
    const folder = await Deno.makeTempDir({ prefix: "moqe-test-" });
    try {
      const manifest = await pack(family, folder), jobs = jobsOf(family);
      const limits = { maxSourceTokens: MAX_SOURCE, maxContextTokens: 256 };
      const bounds = new Map<number, { least: number; all: number }>();
      let expected: Finished[][] = [];
      for (const maxBatchTokens of BATCHES) {
        await withPacked(folder, manifest, async (m) => {
          bounds.set(maxBatchTokens, {
            least: m.budget.leastBytes,
            all: m.budget.allResidentBytes,
          });
          if (maxBatchTokens === 512) expected = await run(m, jobs);
        }, { ...limits, maxBatchTokens });
      }
      assert(expected.every((found) => found.length > 0));
      const next = random(family.length + jobs.length);
      const pick = <T>(list: readonly T[]) => list[Math.floor(next() * list.length)]!;
      for (let i = 0; i < CASES; i++) {
        const maxBatchTokens = BATCHES[i % BATCHES.length]!;
        const { least, all } = bounds.get(maxBatchTokens)!;
        const experts = manifest.expertLayers.reduce((n, l) => n + l.experts.length, 0);
        const options = {
          maxBatchTokens,
          gpuBytes: i < BATCHES.length ? least : Math.ceil(least + next() * (all - least)),
          maxSlots: i % 3 === 0 ? undefined : Math.max(8, Math.ceil(next() * experts)),
          ...limits,
        };
        const how = {
          maxRows: isDecoder(family) ? pick([8, 13, 40, 1000]) : 1000,
          steps: pick(["auto", "park", "waves"] as const),
          company: pick(["alone", "together", "later", "shuffled"] as const),
        };
        await withPacked(folder, manifest, async (m) => {
          const maxRows = Math.min(how.maxRows, m.maxRows);
          const found = await run(m, jobs, { ...how, maxRows, next });
          assertEquals(found, expected, JSON.stringify({ options, how }));
          if (options.gpuBytes === least && m.budget.experts > m.budget.slots) {
            assert(m.residency.stats().evictions > 0, "a small arena evicts");
          }
        }, options);
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}
