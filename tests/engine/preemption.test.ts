/** Pages run out: the youngest give theirs up and come back with the very tokens that they would have had. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { PAGE_TOKENS } from "../../src/backend/contract.ts";
import { MoqeError } from "../../src/base/errors.ts";
import type { Job } from "../../src/engine/queue.ts";
import { Scheduler } from "../../src/engine/scheduler.ts";
import { pagesNeeded, sizeOf } from "../../src/engine/sequence.ts";
import { withDecoder } from "../support/decoders.ts";
import { goldenFolder, prefixOf, readGolden } from "../support/golden.ts";
import { packFolder, type TestModel, withPacked } from "../support/model.ts";

const tokens = (count: number, seed = 0) =>
  Array.from({ length: count }, (_, i) => 3 + (i * 7 + seed * 13) % 80);

/** Long answers to short prompts, greedy and by beams. */
const JOBS: readonly Job[] = Array.from({ length: 9 }, (_, i) => ({
  prefix: tokens(5 + 7 * i, i),
  beams: i === 4 ? 2 : 1,
  lengthPenalty: 1,
  maxTokens: 120 + 5 * i,
}));

/** A scheduler that sees only some of the model's pages. */
function withPages(m: TestModel, pages: number): Scheduler {
  const model = new Proxy(m.model, {
    get(target, name) {
      if (name === "pages") return pages;
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return new Scheduler(model, m.spec, { maxRows: m.maxRows, maxQueue: 100 });
}

const LARGEST = Math.max(...JOBS.map((j) => pagesNeeded(sizeOf(j))));

for (const [family, name] of [["qwen3_moe", "baseline"], ["gpt_oss", "layer_types"]] as const) {
  Deno.test(`${family}: with few pages all answers are as with many, to the bit`, async () => {
    await withDecoder(family, name, async (m) => {
      const free = withPages(m, m.model.pages), expected = await free.run(JOBS);
      assertEquals(free.stats().preempted, 0);
      for (const pages of [LARGEST, LARGEST + 3, LARGEST + 9]) {
        const scheduler = withPages(m, pages);
        assertEquals(await scheduler.run(JOBS), expected, `${pages} pages`);
        assert(scheduler.stats().preempted > 0, `${pages} pages`);
        // Again, with what the first run left in the cache.
        assertEquals(await scheduler.run(JOBS), expected, `${pages} pages, again`);
      }
      const alone = [];
      for (const job of JOBS) alone.push(...await withPages(m, LARGEST).run([job]));
      assertEquals(alone, expected);
    }, { maxContextTokens: 256 });
  });
}

Deno.test("whatever is cancelled while it is preempted, parked or prefilled, nothing stays behind", async () => {
  await withDecoder("qwen3_moe", "baseline", async (m) => {
    const scheduler = withPages(m, LARGEST), expected = await scheduler.run(JOBS);
    let seed = 5;
    const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
    for (let round = 0; round < 20; round++) {
      const stop = new AbortController(), cut = Math.floor(random() * 60);
      let steps = 0;
      const doomed = scheduler.run(JOBS.slice(3), {
        signal: stop.signal,
        onTokens: () => void (++steps === cut && stop.abort()),
      });
      if (cut === 0) stop.abort();
      const kept = scheduler.run(JOBS.slice(0, 3));
      if (cut < 40) await assertRejects(() => doomed, MoqeError);
      else await doomed.catch(() => {});
      assertEquals(await kept, expected.slice(0, 3), `round ${round}`);
    }
    await scheduler.idle();
    const { queue } = scheduler.stats();
    assertEquals(queue, { waiting: 0, running: 0, parked: 0 });
    assertEquals(await scheduler.run(JOBS), expected);
  }, { maxContextTokens: 256, slots: 0 });
});

Deno.test("a job that the pages could not hold alone is refused", async () => {
  await withDecoder("qwen3_moe", "baseline", async (m) => {
    const job = { prefix: tokens(40), beams: 1, lengthPenalty: 1, maxTokens: 100 };
    const pages = Math.ceil(140 / PAGE_TOKENS);
    assertEquals((await withPages(m, pages).run([job])).length, 1);
    const error = await assertRejects(() => withPages(m, pages - 1).run([job]), MoqeError);
    assertEquals(error.code, "too_large");
  });
});

Deno.test("sentences with a source never wait for pages that they were promised, in the least arena and pool", async () => {
  const folder = await Deno.makeTempDir({ prefix: "moqe-test-" });
  try {
    const widths = { experts: { bits: 2 }, trunk: { bits: 8 }, embedding: { bits: 8 } } as const;
    const manifest = await packFolder(goldenFolder("baseline"), folder, widths);
    const jobs = readGolden("baseline").sentences.flatMap((s) =>
      [1, 4].map((beams) => ({
        source: Int32Array.from(s.source),
        ...prefixOf(s),
        beams,
        lengthPenalty: 1,
        maxTokens: 12,
      }))
    );
    const limits = { maxSourceTokens: 24, maxBatchTokens: 512 };
    let gpuBytes = 0;
    await withPacked(folder, manifest, ({ budget }) => {
      gpuBytes = budget.leastBytes;
      return Promise.resolve();
    }, limits);
    // Beams that park while they share their last page were held back for copies that they do not make.
    for (let round = 0; round < 8; round++) {
      await withPacked(folder, manifest, async (m) => {
        const scheduler = new Scheduler(m.model, m.spec, { maxRows: m.maxRows, maxQueue: 100 });
        assertEquals((await scheduler.run(jobs)).length, jobs.length);
        assertEquals(scheduler.stats().preempted, 0);
      }, { ...limits, gpuBytes });
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
