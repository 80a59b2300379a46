/** One end-to-end measurement in a process of its own, so that its peak memory is its own. */
import { loadEngine } from "../../src/engine/load.ts";
import type { BenchAsk, BenchFigure } from "./ask.ts";
import { BENCH_SENTENCES } from "./sentences.ts";

/** Peak resident memory of this process, as the kernel counts it. */
export function peakRss(): number {
  try {
    const line = /VmHWM:\s+(\d+) kB/.exec(Deno.readTextFileSync("/proc/self/status"));
    return Number(line?.[1] ?? 0) * 1024;
  } catch {
    return Deno.memoryUsage().rss;
  }
}

/** Runs one measurement. */
export async function measure(ask: BenchAsk): Promise<BenchFigure> {
  const loadStart = performance.now();
  const engine = await loadEngine(ask.engine, () => {});
  const loadSeconds = (performance.now() - loadStart) / 1e3;
  const { source, target } = engine.info.pairs[0]!;
  const translate = (texts: string[], maxTokens: number) =>
    engine.translate({
      texts,
      source,
      target,
      beams: ask.beams,
      lengthPenalty: 1,
      maxTokens,
      alternatives: 0,
    });
  const timed = async (work: () => Promise<unknown>) => {
    const start = performance.now();
    await work();
    return performance.now() - start;
  };
  const coldFirstTokenMs = await timed(() => translate([BENCH_SENTENCES[0]!], 2));
  // A batch larger than there are sentences takes them again.
  const texts = Array.from(
    { length: Math.max(ask.batch, BENCH_SENTENCES.length) },
    (_, i) => BENCH_SENTENCES[i % BENCH_SENTENCES.length]!,
  );
  let tokens = 0, ms = 0;
  for (let round = 0; round <= ask.rounds; round++) {
    for (let at = 0; at < texts.length; at += ask.batch) {
      let found: { targetTokens: number }[] = [];
      const took = await timed(async () => {
        found = await translate(texts.slice(at, at + ask.batch), 64);
      });
      if (round === 0) continue;
      ms += took;
      for (const t of found) tokens += t.targetTokens;
    }
  }
  const firsts: number[] = [];
  for (const s of BENCH_SENTENCES) firsts.push(await timed(() => translate([s], 2)));
  const { ledger, experts } = engine.stats();
  await engine.close();
  return {
    tokens,
    seconds: ms / 1e3,
    firstTokenMs: firsts.sort((a, b) => a - b)[firsts.length >> 1]!,
    coldFirstTokenMs,
    loadSeconds,
    peakRssBytes: peakRss(),
    gpuUsedBytes: ledger.gpu.peakBytes,
    hostUsedBytes: ledger.host.peakBytes,
    slots: experts.slots,
    experts: experts.resident,
    hitRate: experts.hits / Math.max(1, experts.hits + experts.misses),
  };
}

/** Answers the question on standard input with one line of JSON. */
export async function answerBenchAsk(): Promise<void> {
  const ask: BenchAsk = JSON.parse(await new Response(Deno.stdin.readable).text());
  console.log(JSON.stringify(await measure(ask)));
}
