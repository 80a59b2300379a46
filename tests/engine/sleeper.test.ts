/** Idle unload: memory goes back, the next request brings the model again, with the same answer. */
import { assert, assertEquals } from "@std/assert";
import { startEngine } from "../../src/engine/client.ts";

const MODEL = new URL("../../models/tiny-en-de-fr-es", import.meta.url).pathname;

Deno.test("an idle engine gives trunk and arenas back, and answers as before when it is asked again", async () => {
  const engine = startEngine({
    model: MODEL,
    device: "cpu",
    gpuMemory: 128 * 2 ** 20,
    hostMemory: 2 ** 31,
    threads: 1,
    maxBatchTokens: 128,
    maxQueue: 16,
    maxSourceTokens: 64,
    idleUnloadMs: 150,
  });
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
    let now = held;
    for (let i = 0; i < 100 && now.trunk > 0; i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      now = await lines();
    }
    assertEquals([now.trunk, now.arena, now.kv, now.activations], [0, 0, 0, 0]);
    assertEquals(engine.state, "ready", "it still accepts requests");
    const both = await Promise.all([ask(), ask()]);
    assertEquals(both, [first, first]);
    assert((await lines()).trunk > 0);
  } finally {
    await engine.close();
  }
});
