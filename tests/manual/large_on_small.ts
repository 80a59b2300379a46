/**
 * NLLB-MoE-54B's geometry on a small machine: writes a made-up model of it (1,536 experts, 16 GB as a reader sees it,
 * some hundred megabytes on the disk), serves it by ranges, runs `moqe serve` on it under two budgets, and prints what
 * was seen from outside. Not part of the tests: it takes minutes.
 *
 *   deno run -A tests/manual/large_on_small.ts FILE [GPU 3GiB] [HOST 1GiB] [further flags of serve]
 *
 * FILE is where the model is written, or found if an earlier run wrote it.
 */
import { formatBytes } from "../../src/base/units.ts";
import { LANGUAGES } from "../../src/text/languages.ts";
import { Served } from "../http/served.ts";
import { ChunkStore, serveChunks } from "../support/chunk_store.ts";
import { largeTokenizer, writeLargeModel } from "../support/large_model.ts";
import { NLLB_MOE_54B } from "../support/nllb_54b.ts";
import { residentParts, statusBytes } from "../support/peak.ts";

const [file, gpu = "3GiB", host = "1GiB", ...flags] = Deno.args;
if (file === undefined) throw new TypeError("cannot run: say which FILE the model is to be in");
const TEXT = "We would like to know whether the committee has decided about the proposal.";
const TARGET_TOKENS = 16;
/** The WASM memory is the one mapping of this size. */
const LARGE = 2 ** 30;

const store = new ChunkStore(file);
if (!await store.has("manifest.json")) {
  const start = performance.now();
  const tokenizer = largeTokenizer(NLLB_MOE_54B.vocab_size, LANGUAGES.map((l) => l.flores));
  await writeLargeModel(NLLB_MOE_54B, store, {
    name: "made-up-54b",
    pairs: ["eng_Latn-deu_Latn"],
    licence: { id: "CC0-1.0" },
    experts: { bits: 2 },
    trunk: { bits: 4 },
    embedding: { bits: 4 },
  }, tokenizer);
  store.save();
  console.log(`written in ${seconds(start)}; ${formatBytes(store.stored)} on the disk`);
}
console.log(
  `model: ${formatBytes(store.bytes)}; manifest ${formatBytes(store.bytesOf("manifest.json")!)}`,
);

let hostPeak = 0;
const origin = serveChunks(store);
const started = performance.now();
const main = new URL("../../main.ts", import.meta.url).pathname;
const child = new Deno.Command(Deno.execPath(), {
  args: [
    ...["run", "-A", "--no-check", "--v8-flags=--max-semi-space-size=2", main, "serve"],
    ...["--port", "0", "--model", origin.url, "--gpu-memory", gpu, "--host-memory", host, ...flags],
  ],
  env: { NO_COLOR: "1" },
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
for (const round of ["cold", "again"]) {
  const before = { at: performance.now(), bytes: origin.bytes };
  const answer = await served.translate({
    q: TEXT,
    source: "en",
    target: "de",
    beams: 1,
    max_tokens: TARGET_TOKENS,
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(JSON.stringify(body));
  const fetched = formatBytes(origin.bytes - before.bytes);
  await report(`${round}: ${seconds(before.at)} for ${TARGET_TOKENS} tokens, ${fetched} fetched`);
}
console.log(await (await fetch(`${served.url}/metrics`)).text());
clearInterval(watch);
await served.end();
await origin.close();
store.close();

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}

async function report(what: string): Promise<void> {
  const peak = await statusBytes(child.pid, "VmHWM");
  const { wasm, rest } = await residentParts(child.pid, LARGE);
  const host = Math.max(hostPeak, rest);
  const [device, held] = [await ledger("gpu", "used"), await ledger("host", "peak")];
  console.log(
    `${what}; ${origin.requests} requests, ${formatBytes(origin.bytes)} in all; peak ` +
      `${formatBytes(peak)}: WASM memory ${formatBytes(wasm)} (ledger ${
        formatBytes(device)
      }), the ` +
      `rest at most ${formatBytes(host)} (ledger ${formatBytes(held)})`,
  );
}
