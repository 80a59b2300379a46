/** What `deno task bench` prints. */
import { BENCH_SHAPE, benchKernels, callStopwatch, type KernelFigure } from "./kernels.ts";
import { createCpuBackend } from "../../src/backend/cpu/backend.ts";
import { Ledger } from "../../src/base/ledger.ts";
import { formatBytes } from "../../src/base/units.ts";
import { chooseDevice } from "../../src/engine/device.ts";
import { cacheTables, checkBenchWord } from "./cache.ts";
import { endToEndTable } from "./end_to_end.ts";
import { gpuTables } from "./gpu.ts";
import { EXIT, type Invocation } from "../../src/cli/command.ts";
import type { benchFlags } from "./flags.ts";
import { table } from "../../src/cli/tables.ts";

/** Runs the command. */
export async function bench(
  { flags, positionals }: Invocation<typeof benchFlags>,
): Promise<number> {
  checkBenchWord(positionals[0]);
  if (positionals[0] === "cache") {
    console.log(await cacheTables(flags));
    return EXIT.ok;
  }
  console.log(`${await machine()}\n`);
  const { opened, reason } = await chooseDevice(flags.device);
  if (reason !== undefined) console.log(`${reason}\n`);
  if (opened !== undefined) {
    for await (const text of gpuTables(opened, flags)) console.log(`${text}\n`);
    opened.device.destroy();
  } else if (flags.only === "all" || flags.only === "kernels") {
    console.log(`${await cpuTable(flags.timeEach)}\n`);
  }
  if (flags.only === "all" || flags.only === "end-to-end") {
    const device = opened === undefined ? "cpu" : opened.isFallback ? "software gpu" : "gpu";
    console.log(await endToEndTable(flags, device));
  }
  return EXIT.ok;
}

async function cpuTable(msEach: number): Promise<string> {
  const ledger = new Ledger({ gpuBytes: 2 ** 30, hostBytes: 0 });
  const backend = await createCpuBackend({ ledger });
  backend.prepare(BENCH_SHAPE);
  const figures = await benchKernels(backend, callStopwatch(msEach));
  backend.close();
  return kernelTable(figures);
}

/** Figures of kernels as a table; with the bandwidth of a copy, their share of it. */
export function kernelTable(figures: readonly KernelFigure[], copyGbPerS?: number): string {
  const rows = figures.map((f) => [
    f.name,
    f.shape,
    f.ms.toFixed(3),
    f.gflops.toFixed(2),
    f.gbPerS.toFixed(2),
    f.ratioToF16 === undefined ? "" : `${f.ratioToF16.toFixed(2)} x`,
    ...(copyGbPerS === undefined ? [] : [`${(100 * f.gbPerS / copyGbPerS).toFixed(0)} %`]),
  ]);
  const columns = ["kernel", "shape", "ms", "GFLOP/s", "GB/s", "against f16"];
  return table(copyGbPerS === undefined ? columns : [...columns, "of a copy"], rows);
}

/** The machine in one line, for a table that is kept. */
async function machine(): Promise<string> {
  let processor = "unknown processor";
  try {
    const text = await Deno.readTextFile("/proc/cpuinfo");
    processor = /model name\s*:\s*(.+)/.exec(text)?.[1] ?? processor;
  } catch {
    // Only Linux tells; the figures stand without it.
  }
  const { total } = Deno.systemMemoryInfo();
  return `${processor}, ${navigator.hardwareConcurrency} logical processors, ${
    formatBytes(total)
  }, ` +
    `Deno ${Deno.version.deno} (V8 ${Deno.version.v8})`;
}
