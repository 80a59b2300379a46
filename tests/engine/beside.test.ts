/**
 * Encoding beside decoding: while an encoder pass waits for its experts decoder steps go on, and the other way round;
 * whatever comes when, tokens and scores are those of a run with every expert resident, bit for bit.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { seeded } from "../../tools/twin/packed.ts";
import { MoqeError } from "../../src/base/errors.ts";
import { widestBlock } from "../../src/engine/host_budget.ts";
import type { Job } from "../../src/engine/queue.ts";
import type { Scheduler } from "../../src/engine/scheduler.ts";
import type { Finished } from "../../src/engine/search.ts";
import { Turns } from "../../src/engine/turns.ts";
import {
  type Case,
  CASES,
  type Gated,
  gated,
  packedModel,
  residentRun,
  turn,
} from "../support/gated.ts";
import { testNeeding } from "../support/needs.ts";

const test = testNeeding("vulkan");

const LIST = CASES["16 mixed"];

/** Starts a batch whose encoder pass waits at the gate; resolves when it does. */
async function encoding({ gate, scheduler }: Gated, jobs: readonly Job[], signal?: AbortSignal) {
  const answer = scheduler.run(jobs, { signal });
  answer.catch(() => {});
  while (scheduler.stats().queue.waiting > 0 || gate.waiting === 0) await turn();
  return { answer };
}

Deno.test("decoding goes on to its end while an encoder pass waits for blocks that do not come", async () => {
  const want = (await residentRun())["16 mixed"];
  for (const steps of ["park", "waves"] as const) {
    await gated({ maxSlots: 1000 }, { steps }, async ({ gate, scheduler }) => {
      // Once through, so that all it needs is there.
      await gate.pump(seeded(1), scheduler.run([LIST[2]!]));
      let second: Promise<Finished[][]> | undefined;
      const first = await scheduler.run([LIST[2]!], {
        onTokens: () => second ??= scheduler.run(LIST.slice(3, 5)),
      });
      assertEquals(first, want.slice(2, 3));
      const { steps: { encode }, queue } = scheduler.stats();
      assertEquals([encode, queue.running], [2, 2], "the others are still being encoded");
      assert(gate.waiting > 0);
      await gate.pump(seeded(2), second!);
      assertEquals(await second, want.slice(3, 5));
    });
  }
});

/** Requests of one or two sentences that come at any time; some are dropped again. */
async function staggered(
  { gate, scheduler }: Gated,
  random: () => number,
  want: readonly Finished[][],
): Promise<void> {
  let at = 0;
  const answers: Promise<unknown>[] = [];
  const check = async (from: number, to: number) => {
    const stop = new AbortController(), drops = random() < 0.2;
    const run = scheduler.run(LIST.slice(from, to), { signal: stop.signal });
    // One that is dropped may have been answered before.
    const checked = run.then(
      (found) => assertEquals(found, want.slice(from, to), `sentences ${from} to ${to}`),
      (error) => assertEquals([drops, error.code], [true, "cancelled"]),
    );
    for (let turns = drops ? 20 * random() : 0; turns > 0; turns--) await turn();
    if (drops) stop.abort();
    await checked;
  };
  const all = (async () => {
    while (at < LIST.length) {
      const to = Math.min(LIST.length, at + (random() < 0.5 ? 1 : 2));
      answers.push(check(at, to));
      at = to;
      while (random() < 0.8) await turn();
    }
    await Promise.all(answers);
  })();
  await gate.pump(random, all);
  await all;
}

/** Counts the decoder steps that ran between the beginning and the end of an encoder pass. */
function watch() {
  let begun = 0, beside = 0;
  const onEncoding = () => void begun++;
  const look = (scheduler: Scheduler) => {
    const { encode, decode } = scheduler.stats().steps;
    return { passes: begun - encode, decode };
  };
  const follow = async (scheduler: Scheduler, until: Promise<unknown>) => {
    let done = false;
    until.then(() => done = true, () => done = true);
    while (!done) {
      const before = look(scheduler);
      await turn();
      const after = look(scheduler);
      if (before.passes > 0 && after.passes > 0) beside += after.decode - before.decode;
    }
  };
  return { onEncoding, follow, steps: () => beside };
}

for (const steps of ["park", "waves", "auto"] as const) {
  Deno.test(`${steps}: sentences that come at any time, some of them dropped, get the tokens of the resident run`, async () => {
    const want = (await residentRun())["16 mixed"], { manifest } = await packedModel();
    const watched = watch(), { onEncoding } = watched;
    for (const maxSlots of [2, 3, 5, 9, 1000]) {
      for (let seed = 1; seed <= 3; seed++) {
        // The third time with room for no more than two blocks under way.
        const hostBytes = seed === 3 ? 2 * widestBlock(manifest) : 2 ** 26;
        await gated({ maxSlots, hostBytes }, { steps, onEncoding }, async (g) => {
          const run = staggered(g, seeded(10 * maxSlots + seed), want);
          await watched.follow(g.scheduler, run);
          await run;
        });
      }
    }
    assert(watched.steps() > 0, "no step ran beside an encoder pass");
  });
}

test("webgpu: sentences that come at any time get the tokens of its own resident run", async () => {
  const cases: Case[] = ["16 mixed"], device = "webgpu";
  const want = (await residentRun(device, cases))["16 mixed"];
  for (const maxSlots of [3, 1000]) {
    await gated({ device, maxSlots }, { steps: "auto" }, async (g) => {
      await staggered(g, seeded(maxSlots), want);
    });
  }
});

Deno.test("an encoder pass that nobody waits for ends where it waits, and frees what it held", async () => {
  await gated({ maxSlots: 6 }, { steps: "park" }, async (g) => {
    const { m, gate, scheduler } = g, stop = new AbortController();
    const dropped = await encoding(g, LIST.slice(0, 4), stop.signal);
    stop.abort();
    assertEquals(scheduler.stats().queue, { waiting: 0, running: 0, parked: 0 });
    assertEquals((await assertRejects(() => dropped.answer, MoqeError)).code, "cancelled");
    // No read is let through: the pass itself must have ended.
    await scheduler.idle();
    assertEquals([gate.waiting, m.residency.room], [0, 6]);
    gate.open = true;
    assertEquals((await scheduler.run(LIST.slice(0, 4))).length, 4, "the next is answered");
  });
});

Deno.test("pages of a sentence that is dropped while it is encoded are others' at once", async () => {
  const long = [1, 4].map((beams) => ({ ...LIST[2]!, beams, maxTokens: 60 }));
  let overtaken = 0;
  for (let seed = 1; seed <= 8; seed++) {
    await gated({ maxSlots: 1000 }, { steps: "waves" }, async ({ gate, scheduler }) => {
      const want = (await residentRun())["16 mixed"].slice(4, 5);
      const before = scheduler.run(long);
      await gate.pump(seeded(1), before);
      const stop = new AbortController(), random = seeded(seed);
      let dropped: Promise<unknown> | undefined, second: Promise<Finished[][]> | undefined;
      const first = scheduler.run(long, {
        // The first is greedy and tells every token; the other takes pages with nearly every step.
        onTokens({ tokens }) {
          if (tokens.length === 2) {
            dropped = scheduler.run([LIST[3]!], { signal: stop.signal });
            dropped.catch(() => {});
            second = scheduler.run([LIST[4]!]);
          }
          if (tokens.length === 3) stop.abort();
          if (tokens.length > 3) gate.release(Math.floor(random() * gate.waiting));
        },
      });
      first.then(() => overtaken += scheduler.stats().steps.encode === 3 ? 1 : 0);
      assertEquals(await first, await before);
      await gate.pump(random, second!);
      assertEquals(await second, want);
      await assertRejects(() => dropped!, MoqeError, "cancelled");
    });
  }
  assert(overtaken > 0, "no encoder pass ended before the decoding beside it");
});

Deno.test("turns come in the order in which they are asked for, also behind a pause", async () => {
  const turns = new Turns(), log: string[] = [];
  const waits = [0, 1].map(() => Promise.withResolvers<void>());
  const encoder = turns.run(async (pause) => {
    for (const [i, { promise }] of waits.entries()) {
      log.push(`encoder ${i}`);
      await pause(promise);
    }
    log.push("encoder ends");
  });
  const step = (i: number) => turns.run(() => Promise.resolve(log.push(`step ${i}`)));
  await Promise.all([step(0), step(1)]);
  waits[0]!.resolve();
  await Promise.resolve();
  await Promise.all([step(2), step(3)]);
  // A pass that throws gives its turn up, too, and one whose wait fails takes it again before it ends.
  await assertRejects(() => turns.run(() => Promise.reject(new Error("broken"))), Error, "broken");
  waits[1]!.reject(new Error("no block"));
  await assertRejects(() => encoder, Error, "no block");
  await step(4);
  assertEquals(log, [
    "encoder 0",
    "step 0",
    "step 1",
    "encoder 1",
    "step 2",
    "step 3",
    "step 4",
  ]);
});
