/** Idle unload: memory goes back, the next request brings the model again, with the same answer. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { startEngine } from "../../src/engine/client.ts";
import { type LoadedEngine, loadEngine } from "../../src/engine/load.ts";
import type { EngineOptions } from "../../src/engine/protocol.ts";
import { keepAlive } from "../../src/engine/revive.ts";
import { Sleeper } from "../../src/engine/sleeper.ts";

const MODEL = new URL("../../models/tiny-en-de-fr-es", import.meta.url).pathname;
const OPTIONS: EngineOptions = {
  model: MODEL,
  device: "cpu",
  gpuMemory: 128 * 2 ** 20,
  hostMemory: 2 ** 31,
  threads: 1,
  maxBatchTokens: 128,
  maxQueue: 16,
  maxSourceTokens: 64,
  idleUnloadMs: 150,
};

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const patience = (timeoutMs?: number) => ({ signal: new AbortController().signal, timeoutMs });

/** Engines that only count themselves. */
function counted(closeMs: number) {
  const engines = { loaded: 0, open: 0 };
  const make = () => {
    engines.loaded++;
    engines.open++;
    const lost = Promise.withResolvers<MoqeError>();
    let closed: Promise<void> | undefined;
    const close = () => closed ??= pause(closeMs).then(() => void engines.open--);
    const stats = () => ({});
    const engine = { lost: lost.promise, close, abandon: close, stats } as unknown as LoadedEngine;
    return {
      engine,
      lose: () => lost.resolve(new MoqeError("unavailable", { action: "run", rule: "lost" })),
    };
  };
  return { engines, make };
}

Deno.test("an idle engine gives trunk and arenas back, and answers as before when it is asked again", async () => {
  const engine = startEngine(OPTIONS);
  try {
    await engine.ready;
    const ask = async () => {
      const [found] = await engine.translate({
        texts: ["Open the file."],
        source: "eng_Latn",
        target: "deu_Latn",
        beams: 2,
        lengthPenalty: 1,
        maxTokens: 24,
        alternatives: 0,
      });
      return found!.text;
    };
    const lines = async () => (await engine.stats()).ledger.gpu.lines;
    const first = await ask();
    const held = await lines();
    assert(held.trunk > 0 && held.arena > 0);
    const { usedBytes } = (await engine.stats()).ledger.gpu, awake = Deno.memoryUsage().rss;
    let now = held;
    for (let i = 0; i < 100 && now.trunk > 0; i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      now = await lines();
    }
    assertEquals([now.trunk, now.arena, now.kv, now.activations], [0, 0, 0, 0]);
    assertEquals(engine.state, "ready", "it still accepts requests");
    // The system has it back, not the ledger alone: what was written of its memory is resident no more.
    for (let i = 0; i < 40 && awake - Deno.memoryUsage().rss < usedBytes / 2; i++) await pause(50);
    const freed = awake - Deno.memoryUsage().rss;
    assert(freed >= usedBytes / 2, `${freed} of ${usedBytes} bytes are free again`);
    const both = await Promise.all([ask(), ask()]);
    assertEquals(both, [first, first]);
    assert((await lines()).trunk > 0);
  } finally {
    await engine.close();
  }
});

Deno.test("a request does not wait for a sleeper longer than its time, nor once it is cancelled", async () => {
  const { engines, make } = counted(0);
  const loading = Promise.withResolvers<void>();
  const sleeper = new Sleeper(make().engine, {
    idleMs: 1,
    load: () => loading.promise.then(() => make().engine),
    woke: () => {},
  });
  while (engines.open > 0) await pause(1);
  const work = () => Promise.resolve("done");
  const expired = await assertRejects(() => sleeper.use(work, patience(5)), MoqeError);
  const stop = new AbortController();
  const use = sleeper.use(work, { signal: stop.signal, timeoutMs: undefined });
  stop.abort();
  const cancelled = await assertRejects(() => use, MoqeError);
  assertEquals([expired.code, cancelled.code], ["expired", "cancelled"]);
  loading.resolve();
  const left = await sleeper.use(
    (_, { timeoutMs }) => Promise.resolve(timeoutMs),
    patience(60_000),
  );
  assert(left! <= 60_000 && left! > 30_000);
  assertEquals(engines.loaded, 2, "one load for all three");
  await sleeper.close();
});

Deno.test("what was accepted by a sleeper is finished before it is closed, also while it wakes", async () => {
  const { engines, make } = counted(0);
  const sleeper = new Sleeper(make().engine, {
    idleMs: 1,
    load: () => pause(10).then(() => make().engine),
    woke: () => {},
  });
  while (engines.open > 0) await pause(1);
  const open = sleeper.use(() => pause(10).then(() => engines.open), patience());
  await sleeper.close();
  assertEquals([await open, engines.open], [1, 0]);
});

Deno.test("a device that is lost as the engine falls asleep leaves one engine, and that one sleeps too", async () => {
  const { engines, make } = counted(20);
  const first = make();
  const load = () => Promise.resolve(make().engine);
  const watch = (engine: LoadedEngine) =>
    keepAlive(engine, load, {
      current: (next) => sleeper.replace(next),
      lost: () => {},
      back: () => {},
      failed: (error) => console.error(error),
    });
  const sleeper = new Sleeper(first.engine, { idleMs: 10, load, woke: watch });
  watch(first.engine);
  // Its close has begun and takes a while.
  await pause(15);
  first.lose();
  await pause(10);
  await sleeper.use(() => Promise.resolve(), patience());
  assertEquals(engines.open, 1);
  while (engines.open > 0) await pause(5);
  await sleeper.close();
});

Deno.test("a load that fails gives the device back", async () => {
  let destroyed = 0;
  const device = () =>
    Promise.resolve({
      opened: { device: { destroy: () => void destroyed++ } } as never,
      reason: undefined,
    });
  for (let i = 0; i < 3; i++) {
    await assertRejects(() => loadEngine({ ...OPTIONS, model: "/nowhere" }, () => {}, { device }));
  }
  assertEquals(destroyed, 3);
});
