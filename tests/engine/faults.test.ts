/**
 * Steps that do not wait: whatever misses, in whatever order blocks arrive, in any company, the tokens and scores
 * are those of a run with every expert resident, bit for bit; and nothing stays pinned or taken.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { seeded } from "../../src/backend/cpu/twin/packed.ts";
import { MoqeError } from "../../src/base/errors.ts";
import type { Job, Limits } from "../../src/engine/queue.ts";
import { Scheduler } from "../../src/engine/scheduler.ts";
import { FileStore } from "../../src/store/file_store.ts";
import type { Manifest } from "../../src/store/manifest.ts";
import { type GateStore, gateStore } from "../support/gate_store.ts";
import { goldenFolder, readGolden } from "../support/golden.ts";
import { packFolder, type TestModel, type TestModelOptions, withPacked } from "../support/model.ts";

const WIDTHS = { experts: { bits: 2 }, trunk: { bits: 8 }, embedding: { bits: 8 } } as const;
const NAME = "every_layer";

/** Sentences of the golden again and again, of different lengths. */
function jobs(count: number, beams: (i: number) => number): Job[] {
  const { sentences } = readGolden(NAME);
  return Array.from({ length: count }, (_, i) => {
    const s = sentences[i % sentences.length]!;
    const source = Int32Array.from(s.source);
    return {
      source,
      languageToken: s.target,
      beams: beams(i),
      lengthPenalty: 1,
      maxTokens: 9 + i % 5,
    };
  });
}

const CASES: Record<string, Job[]> = {
  "1 greedy": jobs(1, () => 1),
  "1 of 4 beams": jobs(1, () => 4),
  "4 greedy": jobs(4, () => 1),
  "4 of 4 beams": jobs(4, () => 4),
  "16 greedy": jobs(16, () => 1),
  "16 of 4 beams": jobs(16, () => 4),
  "16 mixed": jobs(16, (i) => i % 3 === 0 ? 4 : 1),
};

interface Gated {
  m: TestModel;
  gate: GateStore;
  scheduler: Scheduler;
}

let packed: Promise<{ folder: string; manifest: Manifest }> | undefined;

/** The model behind a gate, which is shut once the trunk is loaded; checks that all was given back. */
async function gated(
  options: TestModelOptions,
  limits: Partial<Limits>,
  use: (g: Gated) => Promise<void>,
): Promise<void> {
  packed ??= Deno.makeTempDir({ prefix: "moqe-test-" }).then(async (folder) => ({
    folder,
    manifest: await packFolder(goldenFolder(NAME), folder, WIDTHS),
  }));
  const { folder, manifest } = await packed;
  const gate = gateStore(new FileStore(folder));
  await withPacked(folder, manifest, async (m) => {
    gate.open = false;
    const scheduler = new Scheduler(m.model, m.spec, {
      maxRows: m.maxRows,
      maxQueue: 100,
      ...limits,
    });
    await use({ m, gate, scheduler });
    await scheduler.idle();
    assertEquals(scheduler.stats().queue, { waiting: 0, running: 0, parked: 0 });
    assertEquals(m.residency.room, m.residency.stats().slots, "no slot is held");
    const { lines } = m.ledger.snapshot().host;
    assertEquals([lines.fetching, lines.verified], [0, 0], "no byte is left on the ledger");
  }, { ...options, store: gate });
}

globalThis.addEventListener("unload", () => {
  packed?.then(({ folder }) => Deno.removeSync(folder, { recursive: true }));
});

/** Lets reads through until so many encoder passes have ended: what decoding asks for waits at the gate. */
async function encoded(gate: GateStore, scheduler: Scheduler, passes: number): Promise<void> {
  while (scheduler.stats().steps.encode < passes) {
    gate.release(0);
    await new Promise((r) => setTimeout(r, 0));
  }
}

/** What every expert resident from the start gives, by case. */
async function resident(): Promise<Map<string, unknown>> {
  const expected = new Map<string, unknown>();
  await gated({}, { steps: "waves" }, async ({ gate, scheduler }) => {
    gate.open = true;
    for (const [name, list] of Object.entries(CASES)) expected.set(name, await scheduler.run(list));
  });
  return expected;
}

let expected: Promise<Map<string, unknown>> | undefined;

for (const steps of ["park", "auto"] as const) {
  for (const maxSlots of [2, 3, 5, 9, 1000]) {
    Deno.test(`${steps}, ${maxSlots} slots: any order of faults and arrivals gives the tokens of the resident run`, async () => {
      const want = await (expected ??= resident());
      for (const [i, [name, list]] of Object.entries(CASES).entries()) {
        await gated({ maxSlots }, { steps }, async ({ gate, scheduler }) => {
          const running = scheduler.run(list);
          await gate.pump(seeded(100 * maxSlots + i), running);
          assertEquals(await running, want.get(name) as Awaited<typeof running>, name);
          const { faults, parkSteps } = scheduler.stats().decode;
          if (steps === "park") assert(faults > 0 && parkSteps > 0, "nothing missed");
        });
      }
    });
  }
}

Deno.test("webgpu: any order of faults and arrivals gives the tokens of its own resident run", async () => {
  const list = jobs(5, (i) => i % 2 === 0 ? 1 : 4);
  const device = "webgpu";
  let want: unknown;
  await gated({ device }, { steps: "waves" }, async ({ gate, scheduler }) => {
    gate.open = true;
    want = await scheduler.run(list);
  });
  for (const maxSlots of [3, 1000]) {
    await gated({ device, maxSlots }, { steps: "park" }, async ({ gate, scheduler }) => {
      const running = scheduler.run(list);
      await gate.pump(seeded(maxSlots), running);
      assertEquals(await running, want as Awaited<typeof running>, `${maxSlots} slots`);
      assert(scheduler.stats().decode.faults > 0, "nothing missed");
    });
  }
});

Deno.test("park: a sentence whose experts are there ends while others wait for theirs", async () => {
  const want = await (expected ??= resident());
  await gated({ maxSlots: 1000 }, { steps: "park" }, async ({ gate, scheduler }) => {
    const first = scheduler.run(CASES["1 greedy"]!);
    await gate.pump(seeded(5), first);
    const many = scheduler.run(CASES["16 greedy"]!);
    await encoded(gate, scheduler, 2);
    while (scheduler.stats().queue.parked === 0) await new Promise((r) => setTimeout(r, 0));
    const again = await scheduler.run(CASES["1 greedy"]!);
    assertEquals(again, want.get("1 greedy") as typeof again);
    assert(scheduler.stats().queue.parked > 0, "no block has come, the others wait");
    await gate.pump(seeded(6), many);
    assertEquals(await many, want.get("16 greedy") as Awaited<typeof many>);
  });
});

Deno.test("a request that expires or is cancelled while its experts are on their way frees all at once", async () => {
  await gated({ maxSlots: 6 }, { steps: "park" }, async ({ m, gate, scheduler }) => {
    const list = CASES["4 of 4 beams"]!;
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
    await encoded(gate, scheduler, 1);
    while (scheduler.stats().queue.parked === 0) await new Promise((r) => setTimeout(r, 0));
    stop.abort();
    assertEquals(scheduler.stats().queue, { waiting: 0, running: 0, parked: 0 });
    assertEquals(m.residency.room, 6, "its slots are free before the answer is read");
    assertEquals((await dropped).code, "cancelled");
    gate.open = true;
    assertEquals((await scheduler.run(list)).length, 4, "the next request is answered");
  });
});

Deno.test("waves that wait for a store which does not answer end when nobody waits for them", async () => {
  await gated({ maxSlots: 2 }, { steps: "waves" }, async ({ gate, scheduler }) => {
    const stop = new AbortController();
    const dropped = assertRejects(
      () => scheduler.run(CASES["4 greedy"]!, { signal: stop.signal }),
      MoqeError,
    );
    await encoded(gate, scheduler, 1);
    while (gate.waiting === 0) await new Promise((r) => setTimeout(r, 0));
    stop.abort();
    assertEquals((await dropped).code, "cancelled");
    // No read is let through: the pass itself must have ended.
    await scheduler.idle();
    gate.open = true;
    assertEquals((await scheduler.run(CASES["4 greedy"]!)).length, 4);
  });
});
