/**
 * NLLB-MoE-54B's geometry on a small machine: writes a made-up model of it (1,536 experts, 16 GB as a reader sees it,
 * some hundred megabytes on the disk), serves it by ranges, runs `moqe serve` on it under two budgets, and prints what
 * was seen from outside. Not part of the tests: it takes minutes.
 *
 *   deno run -A tests/manual/large_on_small.ts FILE [GPU 3GiB] [HOST 1GiB] [further flags of serve]
 *   deno run -A tests/manual/large_on_small.ts s3 ...
 *
 * FILE is where the model is written, or found if an earlier run wrote it; no two of its blocks are equal. s3 stands for
 * a bucket of OpenStack Swift, which is started for it and holds a model of few distinct blocks.
 */
import { formatBytes } from "../../src/base/units.ts";
import type { WritableStore } from "../../src/store/contract.ts";
import { LANGUAGES } from "../../src/text/languages.ts";
import { Served } from "../http/served.ts";
import { makeBucket, s3Store } from "../support/buckets.ts";
import { ChunkStore, serveChunks } from "../support/chunk_store.ts";
import { largeTokenizer, writeLargeModel } from "../support/large_model.ts";
import { NLLB_MOE_54B } from "../support/nllb_54b.ts";
import { processorSeconds, residentParts, statusBytes } from "../support/peak.ts";
import { startSwift } from "../support/swift.ts";

interface Origin {
  readonly address: string;
  readonly env: Record<string, string>;
  close(): Promise<void>;
}

const [where, gpu = "3GiB", host = "1GiB", ...flags] = Deno.args;
if (where === undefined) throw new TypeError("cannot run: say where the model is to be");
const TEXT = "We would like to know whether the committee has decided about the proposal.";
/** The WASM memory is the one mapping of this size. */
const LARGE = 2 ** 30;
/** In Swift, which has every byte on the disk. */
const DISTINCT = 48;

const origin = where === "s3" ? await inSwift() : await inChunks(where);
let hostPeak = 0;
const main = new URL("../../main.ts", import.meta.url).pathname;
const started = performance.now();
const child = new Deno.Command(Deno.execPath(), {
  args: [
    ...["run", "-A", "--no-check", "--v8-flags=--max-semi-space-size=2", main, "serve"],
    ...["--port", "0", "--model", origin.address],
    ...["--gpu-memory", gpu, "--host-memory", host, ...flags],
  ],
  env: { NO_COLOR: "1", MALLOC_MMAP_THRESHOLD_: "1048576", ...origin.env },
  stdin: "piped",
  stdout: "piped",
  stderr: "piped",
}).spawn();
const watch = setInterval(async () => {
  const { rest } = await residentParts(child.pid, LARGE).catch(() => ({ rest: 0 }));
  hostPeak = Math.max(hostPeak, rest);
}, 500);
const served = await Served.of(child);
const ledger = async (budget: "gpu" | "host", name: string) =>
  await served.metric(`moqe_ledger_${name}_bytes{budget="${budget}"}`);
await report(`ready after ${seconds(started)}`);
for (const [round, tokens] of [["cold", 16], ["again", 16], ["short", 2]] as const) {
  const bytes = await fetched(), work = await processorSeconds(child.pid), at = performance.now();
  const answer = await served.translate({
    q: TEXT,
    source: "en",
    target: "de",
    beams: 1,
    max_tokens: tokens,
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(JSON.stringify(body));
  const took = seconds(at), busy = (await processorSeconds(child.pid) - work).toFixed(1);
  await report(
    `${round}, ${tokens} tokens: ${took}, ${busy} s of processors, ` +
      `${formatBytes(await fetched() - bytes)} fetched`,
  );
}
console.log(await (await fetch(`${served.url}/metrics`)).text());
clearInterval(watch);
await served.end();
await origin.close();

/** The model by ranges from a file of chunks; an earlier run's is used again. */
async function inChunks(file: string): Promise<Origin> {
  const store = new ChunkStore(file);
  if (!await store.has("manifest.json")) {
    await write(store);
    store.save();
    console.log(`${formatBytes(store.stored)} on the disk`);
  }
  console.log(`model: ${formatBytes(store.bytes)}`);
  const served = serveChunks(store);
  const close = async () => {
    await served.close();
    store.close();
  };
  return { address: served.url, env: {}, close };
}

/** The model in a bucket of Swift, which checks signatures. */
async function inSwift(): Promise<Origin> {
  const swift = await startSwift();
  await makeBucket("large", swift.env);
  await write(s3Store("s3://large/made-up-54b", swift.env), DISTINCT);
  return { address: "s3://large/made-up-54b", env: swift.env, close: () => swift.close() };
}

async function write(store: WritableStore, distinctExperts?: number): Promise<void> {
  const start = performance.now();
  const tokenizer = largeTokenizer(NLLB_MOE_54B.vocab_size, LANGUAGES.map((l) => l.flores));
  await writeLargeModel(NLLB_MOE_54B, store, {
    name: "made-up-54b",
    pairs: ["eng_Latn-deu_Latn"],
    licence: { id: "CC0-1.0" },
    experts: { bits: 2 },
    trunk: { bits: 4 },
    embedding: { bits: 4 },
    distinctExperts,
  }, tokenizer);
  console.log(`written in ${seconds(start)}`);
}

async function fetched(): Promise<number> {
  return await served.metric("moqe_fetch_bytes_total");
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}

async function report(what: string): Promise<void> {
  const peak = await statusBytes(child.pid, "VmHWM");
  const { wasm, rest } = await residentParts(child.pid, LARGE);
  const host = Math.max(hostPeak, rest);
  const [device, held] = [await ledger("gpu", "used"), await ledger("host", "peak")];
  console.log(
    `${what}; ${await served.metric("moqe_fetch_requests_total")} requests, ` +
      `${formatBytes(await fetched())} in all; peak ` +
      `${formatBytes(peak)}: WASM memory ${formatBytes(wasm)} (ledger ${
        formatBytes(device)
      }), the ` +
      `rest at most ${formatBytes(host)} (ledger ${formatBytes(held)})`,
  );
}
