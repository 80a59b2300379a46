/**
 * moqe beside transformers on this CPU: the same weights, the same token ids, sentence by sentence in turn.
 *
 *   deno run -A tests/manual/beside_transformers.ts CHECKPOINT PACKED PYTHON [SENTENCES] [f32|bf16] [GPU_MEMORY]
 *
 * CHECKPOINT is a Hugging Face folder, PACKED the model that `moqe pack` made of it, PYTHON one that has
 * tests/goldens/requirements.txt. Prints target tokens a second of both, and peak memory of both processes.
 */
import { TextLineStream } from "../support/lines.ts";
import { BENCH_SENTENCES } from "../../tools/bench/sentences.ts";
import { peakRss } from "../../tools/bench/child.ts";
import { createCpuBackend } from "../../src/backend/cpu/backend.ts";
import { Ledger } from "../../src/base/ledger.ts";
import { formatBytes, parseBytes } from "../../src/base/units.ts";
import { assemble } from "../../src/engine/assemble.ts";
import { Scheduler } from "../../src/engine/scheduler.ts";
import { StoreFetcher } from "../../src/store/fetcher.ts";
import { openModel } from "../../src/store/open.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";

const MOQE_THREADS = Number(Deno.env.get("MOQE_THREADS") ?? 2);
const THREADS = Number(Deno.env.get("THREADS") ?? 2), MAX_TOKENS = 48, WARM_UP = 8;
const [checkpoint, packed, python, count = "8", dtype = "f32", gpuMemory = "256MiB"] = Deno.args;
if (python === undefined) {
  throw new Error("usage: beside_transformers.ts CHECKPOINT PACKED PYTHON [SENTENCES] [f32|bf16]");
}

const { manifest, store } = await openModel(packed!);
const ledger = new Ledger({ gpuBytes: parseBytes(gpuMemory), hostBytes: 2 ** 30 });
const fetcher = new StoreFetcher(store, manifest, ledger);
const backend = await createCpuBackend({
  ledger,
  threads: MOQE_THREADS,
});
const { model, spec, residency } = await assemble(manifest, { ledger, backend, fetcher }, {
  maxBatchTokens: 256,
  maxSourceTokens: 128,
});
const scheduler = new Scheduler(model, spec, { maxRows: 256, maxQueue: 100 });
const tokenizerBlock = await fetcher.fetch(manifest.tokenizer.block);
const tokenizer = loadTokenizer(
  JSON.parse(new TextDecoder().decode(tokenizerBlock.bytes)),
  manifest.tokenizer.config,
);
tokenizerBlock.release();

const other = new Deno.Command(python, {
  args: [
    new URL("./transformers_side.py", import.meta.url).pathname,
    checkpoint!,
    String(THREADS),
    dtype,
  ],
  stdin: "piped",
  stdout: "piped",
  stderr: "null",
}).spawn();
const lines = other.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
  .getReader();
const writer = other.stdin.getWriter();
const answer = async () => JSON.parse((await lines.read()).value!);
const loaded = await answer();
console.log(
  `transformers loaded in ${loaded.load_seconds.toFixed(1)} s, ${formatBytes(loaded.peak_rss)}`,
);

const [sourceLanguage, targetLanguage] = manifest.pairs[0]!.split("-") as [string, string];
const target = tokenizer.languageId(targetLanguage);
for (const beams of [1, 4]) {
  const sides = { moqe: { tokens: 0, seconds: 0 }, transformers: { tokens: 0, seconds: 0 } };
  let peak = 0, same = 0;
  for (let i = -WARM_UP; i < Number(count); i++) {
    const source = tokenizer.encodeSource(BENCH_SENTENCES.at(i)!, sourceLanguage);
    // torch's threads go on spinning for a while after their work: each side has the machine to itself.
    await new Promise((resolve) => setTimeout(resolve, 400));
    const start = performance.now();
    const [found] = await scheduler.run([
      {
        source: Int32Array.from(source),
        prefix: [spec.tokens.decoderStart, target],
        forced: 1,
        beams,
        lengthPenalty: 1,
        maxTokens: MAX_TOKENS,
      },
    ]);
    const seconds = (performance.now() - start) / 1e3;
    await writer.write(
      new TextEncoder().encode(
        `${JSON.stringify({ source, target, beams, max_tokens: MAX_TOKENS })}\n`,
      ),
    );
    const theirs = await answer();
    peak = theirs.peak_rss;
    if (i < 0) continue; // both sides are warmed up
    const tokens = found![0]!.tokens;
    sides.moqe.tokens += tokens.length;
    sides.moqe.seconds += seconds;
    sides.transformers.tokens += theirs.tokens.length - 1;
    sides.transformers.seconds += theirs.seconds;
    if (tokens.join() === theirs.tokens.slice(1).join()) same++;
  }
  const rate = (s: { tokens: number; seconds: number }) => s.tokens / s.seconds;
  console.log(
    `beams ${beams}: moqe ${
      rate(sides.moqe).toFixed(1)
    } tokens/s (${MOQE_THREADS} threads), transformers ${dtype} ` +
      `${rate(sides.transformers).toFixed(1)} (${THREADS} threads): ` +
      `${
        (rate(sides.moqe) / rate(sides.transformers)).toFixed(2)
      } times; ${same} of ${count} sentences equal; ` +
      `peak RSS ${formatBytes(peakRss())} beside ${formatBytes(peak)}: ${
        (peakRss() / peak).toFixed(2)
      }; ` +
      `experts ${JSON.stringify(residency.stats())}`,
  );
}
await writer.close();
await other.status;
// Kernel threads wait for work; the process is done.
Deno.exit(0);
