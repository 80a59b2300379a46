/**
 * Time to first token, bytes and requests of a cold sentence behind a slow store, with and without profiles and
 * prefetch: `deno run -A tests/manual/cold_sentence.ts MODEL_FOLDER PROFILES.json [latency ms] [MB/s] [sentences]`.
 */
import { BENCH_SENTENCES } from "../../tools/bench/sentences.ts";
import { table } from "../../src/cli/tables.ts";
import { loadEngine } from "../../src/engine/load.ts";

const [folder, profiles, latency = "20", rate = "100", count = "6"] = Deno.args as string[];
const latencyMs = Number(latency), bytesAMs = Number(rate) * 1e3;
let linkFreeAt = 0, requests = 0, bytes = 0, withProfiles = true;

/** One link of this rate for all; each request waits for its latency first. */
const server = Deno.serve({ port: 0, onListen: () => {} }, async (request) => {
  const name = new URL(request.url).pathname.slice(1);
  await new Promise((resolve) => setTimeout(resolve, latencyMs));
  if (name === "profiles.json" && !withProfiles) return new Response(null, { status: 404 });
  const path = name === "profiles.json" ? profiles! : `${folder}/${name}`;
  const file = await Deno.open(path).catch(() => undefined);
  if (file === undefined) return new Response(null, { status: 404 });
  using open = file;
  const { size } = await open.stat();
  const range = /bytes=(\d+)-(\d+)/.exec(request.headers.get("range") ?? "");
  const from = range === null ? 0 : Number(range[1]);
  const length = (range === null ? size : Number(range[2]) + 1) - from;
  const body = new Uint8Array(length);
  await open.seek(from, Deno.SeekMode.Start);
  for (let at = 0; at < length;) at += (await open.read(body.subarray(at)))!;
  requests++;
  bytes += length;
  const start = Math.max(performance.now(), linkFreeAt);
  linkFreeAt = start + length / bytesAMs;
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, linkFreeAt - performance.now())));
  const headers = { "content-range": `bytes ${from}-${from + length - 1}/${size}` };
  return new Response(body, range === null ? {} : { status: 206, headers });
});

async function cold(target: string, text: string, options: { slots: number; guess: boolean }) {
  withProfiles = options.guess;
  const engine = await loadEngine({
    model: `http://127.0.0.1:${server.addr.port}`,
    device: "cpu",
    gpuMemory: 256 * 2 ** 20,
    hostMemory: 512 * 2 ** 20,
    threads: 1,
    maxBatchTokens: 512,
    maxQueue: 16,
    maxSourceTokens: 256,
    maxSlots: options.slots,
    prefetch: options.guess,
  }, () => {});
  [requests, bytes] = [0, 0];
  const ask = (maxTokens: number) =>
    engine.translate({
      texts: [text],
      source: engine.info.pairs[0]!.source,
      target,
      beams: 1,
      lengthPenalty: 1,
      maxTokens,
      alternatives: 0,
    });
  const start = performance.now();
  await ask(2);
  const first = { ms: performance.now() - start, requests, bytes };
  await ask(64);
  const whole = { ms: performance.now() - start, requests, bytes };
  const { prefetch, experts } = engine.stats();
  await engine.close();
  return { first, whole, prefetch, misses: experts.misses };
}

const rows: string[][] = [];
const median = (of: number[]) => of.sort((a, b) => a - b)[of.length >> 1]!;
for (const slots of [80, 20]) {
  for (const target of ["deu_Latn", "fra_Latn", "spa_Latn"]) {
    for (const guess of [false, true]) {
      const runs: Awaited<ReturnType<typeof cold>>[] = [];
      for (const text of BENCH_SENTENCES.slice(0, Number(count))) {
        runs.push(await cold(target, text, { slots, guess }));
      }
      const of = (f: (r: typeof runs[0]) => number) => median(runs.map(f));
      rows.push([
        `${slots} ${target} ${guess ? "with" : "without"}`,
        of((r) => r.first.ms).toFixed(0),
        String(of((r) => r.first.requests)),
        (of((r) => r.first.bytes) / 1e6).toFixed(2),
        of((r) => r.whole.ms).toFixed(0),
        String(of((r) => r.whole.requests)),
        (of((r) => r.whole.bytes) / 1e6).toFixed(2),
        String(of((r) => r.misses)),
        `${of((r) => r.prefetch.used)} of ${of((r) => r.prefetch.asked)}`,
      ]);
    }
  }
}
console.log(table([
  "slots, target, profile and prefetch",
  "first token ms",
  "requests",
  "MB",
  "sentence ms",
  "requests",
  "MB",
  "misses",
  "guesses used",
], rows));
await server.shutdown();
