/**
 * Packs a made-up checkpoint, served by ranges, in a process of its own, and prints that process's peak memory as the
 * system saw it (VmHWM): NLLB-MoE of about 8 GB, or whatever a config.json says. Not part of the tests: it takes minutes.
 *
 *   deno run -A tests/manual/pack_8gb.ts [EXPERTS A LAYER, default 16 | CONFIG.json] [safetensors|torch] [folder|s3]
 *
 * To s3 (Swift) it is killed with -9 once halfway and goes on, without a disk of its own.
 */
import { makeBucket } from "../support/buckets.ts";
import { rangeServer } from "../support/range_server.ts";
import { NLLB_MOE_54B } from "../support/nllb_54b.ts";
import { startSwift } from "../support/swift.ts";

const LIMIT_BYTES = 512 * 2 ** 20;
const [experts = "16", form = "safetensors", where = "folder"] = Deno.args;
const config = experts.endsWith(".json") ? JSON.parse(Deno.readTextFileSync(experts)) : {
  ...NLLB_MOE_54B,
  encoder_layers: 4,
  decoder_layers: 4,
  num_experts: Number(experts),
};
const server = rangeServer(config, 1.5e9, form === "torch" ? "torch" : "safetensors");
const swift = where === "s3" ? await startSwift() : undefined;
if (swift !== undefined) await makeBucket("packed", swift.env);
const out = swift === undefined
  ? Deno.makeTempDirSync({ prefix: "moqe-8gb-" })
  : "s3://packed/large";
const script = new URL("../support/pack_8gb_child.ts", import.meta.url).pathname;

/** Peak resident bytes of a process so far. */
function peakBytes(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/VmHWM:\s*(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
}

/** Runs the packer; kills it when the server has sent so much. Answers whether it came to its end, and its peak. */
async function run(killAtBytes: number): Promise<{ success: boolean; peak: number }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "-A", script, server.url, out],
    env: swift?.env ?? {},
  }).spawn();
  let peak = 0;
  const watch = setInterval(() => {
    try {
      peak = Math.max(peak, peakBytes(child.pid));
      if (server.sent >= killAtBytes) child.kill("SIGKILL");
    } catch { /* it has ended */ }
  }, 200);
  const { success } = await child.status;
  clearInterval(watch);
  return { success, peak };
}

const start = performance.now();
const first = await run(swift === undefined ? Infinity : server.bytes / 2);
const last = swift === undefined ? first : await run(Infinity);
const seconds = (performance.now() - start) / 1000;
const peak = Math.max(first.peak, last.peak);
const sent = server.sent;
await server.close();
await swift?.close();
if (swift === undefined) Deno.removeSync(out, { recursive: true });
console.log(
  `${(server.bytes / 1e9).toFixed(2)} GB, ${(server.weights / 1e9).toFixed(2)}e9 weights: ` +
    `${seconds.toFixed(0)} s, ${(sent / 1e6 / seconds).toFixed(0)} MB/s, ` +
    `${(sent / server.bytes).toFixed(2)} times the checkpoint read, peak ${
      (peak / 2 ** 20).toFixed(0)
    } MiB`,
);
if (!last.success || peak === 0 || peak > LIMIT_BYTES) Deno.exit(1);
