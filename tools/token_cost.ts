/**
 * What a token costs a packed model that generates: wall and processor time, bytes read, peak memory.
 *
 *   deno run -A tools/token_cost.ts MODEL [--prompt 32] [--tokens 24] [--rounds 2] [--gpu-memory 3GiB] [--host-memory 1GiB]
 *
 * Prompts are random words, another one each round; the first round starts with empty arenas.
 */
import { parseArgs } from "node:util";
import { parseBytes } from "../src/base/units.ts";
import { startEngine } from "../src/engine/client.ts";

const text = { type: "string" } as const;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    prompt: { ...text, default: "32" },
    tokens: { ...text, default: "24" },
    rounds: { ...text, default: "2" },
    threads: { ...text, default: "1" },
    "gpu-memory": { ...text, default: "3GiB" },
    "host-memory": { ...text, default: "1GiB" },
    "batch-tokens": { ...text, default: "128" },
  },
});

/** Processor time of this process in ms, all threads. */
function processorMs(): number {
  const fields = Deno.readTextFileSync("/proc/self/stat").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function peakMiB(): number {
  const status = Deno.readTextFileSync("/proc/self/status");
  return Number(/VmHWM:\s+(\d+)/.exec(status)![1]) / 1024;
}

const engine = startEngine({
  model: positionals[0]!,
  device: "cpu",
  gpuMemory: parseBytes(values["gpu-memory"]),
  hostMemory: parseBytes(values["host-memory"]),
  threads: Number(values.threads),
  maxBatchTokens: Number(values["batch-tokens"]),
  maxQueue: 8,
  maxSourceTokens: 256,
  maxContextTokens: Number(values.prompt) + Number(values.tokens) + 64,
});
await engine.ready;
const words = Number(values.prompt), maxTokens = Number(values.tokens);
for (let round = 0; round < Number(values.rounds); round++) {
  // About a token each, in the vocabulary that tools/made_up.ts makes.
  const letters = "abcdefghijklmnopqrstuvwxyz0123456789";
  const prompt = Array.from(
    { length: words },
    (_, i) => letters[(i * 7 + round * 5) % letters.length],
  ).join("\u0430");
  let first = 0, firstProcessor = 0, taken = 0;
  const before = await engine.stats(), start = performance.now();
  const found = await engine.generate({ prompt, beams: 1, lengthPenalty: 1, maxTokens }, {
    onText: () => {
      taken++;
      if (first !== 0) return;
      first = performance.now();
      firstProcessor = processorMs();
    },
  });
  const now = performance.now(), n = Math.max(1, found.tokens - 1), after = await engine.stats();
  const read = (after.experts.loadedBytes - before.experts.loadedBytes) / 2 ** 20;
  const hits = after.experts.hits - before.experts.hits;
  const misses = after.experts.misses - before.experts.misses;
  console.log(
    `round ${round}: prompt of ${found.promptTokens}: ${((first - start) / 1e3).toFixed(2)} s; ` +
      `then ${n} tokens: ${((now - first) / n).toFixed(1)} ms each, ` +
      `${((processorMs() - firstProcessor) / n).toFixed(1)} ms of processor; ` +
      `${read.toFixed(0)} MiB read, hits ${(100 * hits / (hits + misses)).toFixed(1)} %; ` +
      `peak RSS ${peakMiB().toFixed(0)} MiB`,
  );
}
await engine.close();
