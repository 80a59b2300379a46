/** Prefixes that were run before are not run again, and no bit of an answer tells. */
import { assert, assertEquals } from "@std/assert";
import { PagePool } from "../../src/engine/pages.ts";
import { PrefixCache } from "../../src/engine/prefix_cache.ts";
import type { Job } from "../../src/engine/queue.ts";
import { Scheduler } from "../../src/engine/scheduler.ts";
import { withDecoder } from "../support/decoders.ts";
import type { TestModel } from "../support/model.ts";

const tokens = (count: number, seed = 0) =>
  Array.from({ length: count }, (_, i) => 3 + (i * 7 + seed * 13) % 80);
const job = (prefix: number[], maxTokens = 12, beams = 1): Job => (
  { prefix, beams, lengthPenalty: 1, maxTokens }
);

/** Runs jobs together; their hypotheses, and how many tokens of each prefix were found. */
async function run(scheduler: Scheduler, jobs: readonly Job[]) {
  const cached: number[] = [];
  const found = await scheduler.run(jobs, { onStarted: (i, n) => void (cached[i] = n) });
  return { found, cached };
}

const schedulerOf = (m: TestModel) =>
  new Scheduler(m.model, m.spec, { maxRows: m.maxRows, maxQueue: 100 });

Deno.test("a chat's second turn runs only what is new, and answers as if nothing was known", async () => {
  for (const [family, name] of [["qwen3_moe", "baseline"], ["gpt_oss", "baseline"]] as const) {
    await withDecoder(family, name, async (m) => {
      const scheduler = schedulerOf(m), first = tokens(37);
      const turn = await run(scheduler, [job(first, 30)]);
      assertEquals(turn.cached, [0]);
      const second = [...first, ...turn.found[0]![0]!.tokens, ...tokens(9, 2)];
      const again = await run(scheduler, [job(second)]);
      // All pages that the first turn filled: its answer's last token was never run.
      assertEquals(again.cached, [Math.floor((37 + 29) / 16) * 16]);
      const alone = await run(schedulerOf(m), [job(second)]);
      assertEquals(alone.cached, [0]);
      assertEquals(again.found, alone.found, "tokens and scores to the bit");
    });
  }
});

Deno.test("a shared beginning is run once, also by those who come while the first still runs", async () => {
  await withDecoder("qwen3_moe", "baseline", async (m) => {
    const system = tokens(48), scheduler = schedulerOf(m);
    const jobs = [1, 2, 3].map((seed) => job([...system, ...tokens(10, seed)]));
    const first = run(scheduler, [jobs[0]!]);
    await first;
    const others = await run(scheduler, jobs.slice(1));
    assertEquals(others.cached, [48, 48]);
    const alone = await run(schedulerOf(m), jobs);
    assertEquals([...(await first).found, ...others.found], alone.found);
    const { cached, source } = scheduler.stats().tokens;
    assertEquals(cached, 96);
    assert(source < 3 * 58 - 96, "what was found is not run");
  });
});

Deno.test("beams fork from a shared prefix and leave it as it is", async () => {
  await withDecoder("olmoe", "baseline", async (m) => {
    const scheduler = schedulerOf(m), prefix = tokens(40);
    const jobs = [job(prefix, 20, 4), job([...prefix, 5, 6], 20, 3), job(prefix, 20)];
    const alone = [];
    for (const one of jobs) alone.push(...(await run(schedulerOf(m), [one])).found);
    for (let round = 0; round < 3; round++) {
      const { found, cached } = await run(scheduler, jobs);
      assertEquals(found, alone, `round ${round}`);
      if (round > 0) assertEquals(cached, [32, 32, 32]);
    }
  });
});

Deno.test("when pages are short the longest unused go, ends first, and answers stay", async () => {
  await withDecoder("qwen3_moe", "baseline", async (m) => {
    const scheduler = schedulerOf(m), pages = m.model.pages;
    const jobs = Array.from({ length: 3 * Math.ceil(pages / 6) }, (_, i) => job(tokens(90, i), 8));
    const { found } = await run(scheduler, jobs);
    for (const i of [0, jobs.length - 1]) {
      assertEquals(found[i], (await run(schedulerOf(m), [jobs[i]!])).found[0], `job ${i}`);
    }
    assertEquals((await run(scheduler, [jobs.at(-1)!])).cached, [80]);
    assertEquals((await run(scheduler, [jobs[0]!])).cached, [0], "the first one's are gone");
  }, { maxContextTokens: 128 });
});

Deno.test("the cache gives up nothing that a sequence has, and no beginning before its end", () => {
  const pool = new PagePool(4), cache = new PrefixCache(pool), prefix = tokens(64);
  assert(pool.promise(4));
  const own = [pool.take(), pool.take(), pool.take()];
  const a = cache.keep(undefined, prefix, 0, own[0]!), b = cache.keep(a, prefix, 16, own[1]!);
  cache.keep(b, prefix, 32, own[2]!);
  for (const page of own) pool.release(page);
  assertEquals([cache.size, pool.used], [3, 3]);
  const held = cache.take(prefix, 1);
  assertEquals(held.pages, [own[0]!]);
  pool.take();
  assertEquals(cache.size, 3);
  pool.take();
  assertEquals([cache.size, cache.has(b), cache.has(a)], [2, true, true]);
  pool.take();
  assertEquals([cache.size, cache.has(b), cache.has(a)], [1, false, true]);
  let refused = false;
  try {
    pool.take();
  } catch {
    refused = true;
  }
  assert(refused, "the last page is a sequence's");
  assertEquals(cache.take(prefix, 4).pages, [own[0]!]);
});
