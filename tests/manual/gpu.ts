/**
 * Everything on a real GPU, one command on a bare machine that has the vendor's driver:
 *
 *   npx -y deno@2.9.6 task gpu [--minutes N] [--again] [--any] [PART ...]
 *
 * Finds a Vulkan driver that offers a GPU (headless NVIDIA installations often lack the loader or the file that names
 * the driver: the first is installed where this is root on Debian, the second written to a temporary folder), then runs
 * one part after the other, figures first: benchmarks, tuning of tiles, tests. Each part's output goes to a file of its
 * own in gpu-report/ as it comes. A part that fails stops nobody. With --minutes it ends by itself, the part under way
 * is cut off; the same command goes on with what is not done. --again runs what failed, too; PART names, or parts of
 * them, choose; --any takes a software adapter.
 */
import { parseArgs } from "node:util";
import { findGpu, installLoader } from "./gpu_driver.ts";
import { type Outcome, partsOf, Report } from "./gpu_report.ts";

const { values, positionals } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: {
    minutes: { type: "string" },
    again: { type: "boolean", default: false },
    any: { type: "boolean", default: false },
  },
});
/** A part is not begun with less time than this. */
const LEAST_MS = 20_000;
const end = performance.now() + 60_000 * Number(values.minutes ?? Infinity);

let gpu = await findGpu(values.any);
if (gpu === undefined) {
  await installLoader();
  gpu = await findGpu(values.any);
}
if (gpu === undefined) {
  console.error(
    "No real GPU is offered through WebGPU. Is the vendor's driver there (nvidia-smi), with its Vulkan part? " +
      "In a container: NVIDIA_DRIVER_CAPABILITIES=all. A software adapter is taken with --any.",
  );
  Deno.exit(1);
}
const report = await Report.open("gpu-report", gpu.name);
console.log(`${gpu.name}, ${JSON.stringify(gpu.env)}`);
const chosen = partsOf().filter(({ name }) =>
  positionals.length === 0 || positionals.some((p) => name.includes(p))
);
const done = (o: Outcome | undefined) => o === "ok" || (o === "failed" && !values.again);
for (const part of chosen) {
  if (done(report.outcome(part))) continue;
  const leftMs = end - performance.now();
  if (leftMs < LEAST_MS) break;
  await report.run(part, { env: gpu.env, leftMs });
}
const list = (o: Outcome | undefined) =>
  chosen.filter((p) => report.outcome(p) === o).map((p) => p.name).join(", ") || "none";
const open = chosen.filter((p) => !done(report.outcome(p)));
console.log(`\nok: ${list("ok")}\nfailed: ${list("failed")}`);
console.log(
  open.length === 0 ? "all done" : `to do, by the same command: ${open.map((p) => p.name)}`,
);
Deno.exit(open.length > 0 ? 2 : list("failed") === "none" ? 0 : 1);
