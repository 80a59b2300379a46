/**
 * Steps that do not wait: whatever misses, in whatever order blocks arrive, in any company, the tokens and scores
 * are those of a run with every expert resident, bit for bit; and nothing stays pinned or taken.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { seeded } from "../../tools/twin/packed.ts";
import { MoqeError } from "../../src/base/errors.ts";
import { type Case, CASES, encoded, gated, residentRun, turn } from "../support/gated.ts";
import { testNeeding } from "../support/needs.ts";

const test = testNeeding("vulkan");

for (const steps of ["park", "auto"] as const) {
  for (const maxSlots of [2, 3, 5, 9, 1000]) {
    Deno.test(`${steps}, ${maxSlots} slots: any order of faults and arrivals gives the tokens of the resident run`, async () => {
      const want = await residentRun();
      for (const [i, [name, list]] of Object.entries(CASES).entries()) {
        await gated({ maxSlots }, { steps }, async ({ gate, scheduler }) => {
          const running = scheduler.run(list);
          await gate.pump(seeded(100 * maxSlots + i), running);
          assertEquals(await running, want[name as Case], name);
          const { faults, parkSteps } = scheduler.stats().decode;
          if (steps === "park") assert(faults > 0 && parkSteps > 0, "nothing missed");
        });
      }
    });
  }
}

test("webgpu: any order of faults and arrivals gives the tokens of its own resident run", async () => {
  const device = "webgpu", want = await residentRun(device);
  for (const [i, [name, list]] of Object.entries(CASES).entries()) {
    const maxSlots = [3, 5, 1000][i % 3]!;
    await gated({ device, maxSlots }, { steps: "park" }, async ({ gate, scheduler }) => {
      const running = scheduler.run(list);
      await gate.pump(seeded(maxSlots + i), running);
      assertEquals(await running, want[name as Case], `${name}, ${maxSlots} slots`);
      assert(scheduler.stats().decode.faults > 0, "nothing missed");
    });
  }
});

Deno.test("park: a sentence whose experts are there ends while others wait for theirs", async () => {
  const want = await residentRun();
  await gated({ maxSlots: 1000 }, { steps: "park" }, async (gated) => {
    const { gate, scheduler } = gated;
    const first = scheduler.run(CASES["1 greedy"]);
    await gate.pump(seeded(5), first);
    const many = scheduler.run(CASES["16 greedy"]);
    await encoded(gated, 2);
    while (scheduler.stats().queue.parked === 0) await turn();
    const again = await scheduler.run(CASES["1 greedy"]);
    assertEquals(again, want["1 greedy"]);
    assert(scheduler.stats().queue.parked > 0, "no block has come, the others wait");
    await gate.pump(seeded(6), many);
    assertEquals(await many, want["16 greedy"]);
  });
});

Deno.test("a request that expires or is cancelled while its experts are on their way frees all at once", async () => {
  await gated({ maxSlots: 6 }, { steps: "park" }, async (gated) => {
    const { m, gate, scheduler } = gated;
    const list = CASES["4 of 4 beams"];
    const late = await assertRejects(() => scheduler.run(list, { timeoutMs: 30 }), MoqeError);
    assertEquals(late.code, "expired");
    assertEquals(scheduler.stats().queue, { waiting: 0, running: 0, parked: 0 });
    // While decoding: the encoder's blocks come, the decoder's do not.
    const stop = new AbortController();
    const dropped = assertRejects(() =>
      scheduler.run(list, {
        signal: stop.signal,
        onProgress: () => assert(false, "no sentence ends"),
      }), MoqeError);
    await encoded(gated, 1);
    while (scheduler.stats().queue.parked === 0) await turn();
    stop.abort();
    assertEquals(scheduler.stats().queue, { waiting: 0, running: 0, parked: 0 });
    assertEquals(m.residency.room, 6, "its slots are free before the answer is read");
    assertEquals((await dropped).code, "cancelled");
    gate.open = true;
    assertEquals((await scheduler.run(list)).length, 4, "the next request is answered");
  });
});

Deno.test("waves that wait for a store which does not answer end when nobody waits for them", async () => {
  await gated({ maxSlots: 2 }, { steps: "waves" }, async (gated) => {
    const { gate, scheduler } = gated;
    const stop = new AbortController();
    const dropped = assertRejects(
      () => scheduler.run(CASES["4 greedy"], { signal: stop.signal }),
      MoqeError,
    );
    await encoded(gated, 1);
    while (gate.waiting === 0) await turn();
    stop.abort();
    assertEquals((await dropped).code, "cancelled");
    // No read is let through: the pass itself must have ended.
    await scheduler.idle();
    gate.open = true;
    assertEquals((await scheduler.run(CASES["4 greedy"])).length, 4);
  });
});
