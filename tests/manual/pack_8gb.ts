/**
 * Packs a made-up NLLB-MoE checkpoint of about 8 GB, served by ranges, in a process of its own, and prints that
 * process's peak memory as the system saw it (VmHWM). Not part of the tests: it takes minutes.
 *
 *   deno run -A tests/manual/pack_8gb.ts [EXPERTS A LAYER, default 16]
 */
import { rangeServer } from "../support/range_server.ts";
import { NLLB_MOE_54B } from "../support/nllb_54b.ts";

const LIMIT_BYTES = 512 * 2 ** 20;
const config = {
  ...NLLB_MOE_54B,
  encoder_layers: 4,
  decoder_layers: 4,
  num_experts: Number(Deno.args[0] ?? 16),
};
const server = rangeServer(config, 1.5e9);
const out = Deno.makeTempDirSync({ prefix: "moqe-8gb-" });
const script = new URL("../support/pack_8gb_child.ts", import.meta.url).pathname;
const child = new Deno.Command(Deno.execPath(), {
  args: ["run", "--no-check", "-A", script, server.url, out],
}).spawn();

/** Peak resident bytes of a process so far. */
function peakBytes(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/VmHWM:\s*(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
}

let peak = 0;
const watch = setInterval(() => {
  try {
    peak = Math.max(peak, peakBytes(child.pid));
  } catch { /* it has ended */ }
}, 200);
const start = performance.now();
const { success } = await child.status;
clearInterval(watch);
await server.close();
Deno.removeSync(out, { recursive: true });
const seconds = (performance.now() - start) / 1000;
console.log(
  `${(server.bytes / 1e9).toFixed(2)} GB, ${(server.weights / 1e9).toFixed(2)}e9 weights: ` +
    `${seconds.toFixed(0)} s, ${(server.bytes / 1e6 / seconds).toFixed(0)} MB/s, ` +
    `peak ${(peak / 2 ** 20).toFixed(0)} MiB`,
);
if (!success || peak === 0 || peak > LIMIT_BYTES) Deno.exit(1);
