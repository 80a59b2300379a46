/** moqe bench: what this machine does, as tables. */
import { benchKernels } from "../backend/cpu/bench.ts";
import { formatBytes } from "../base/units.ts";
import { endToEndTable } from "./bench_end_to_end.ts";
import { EXIT, type Invocation } from "./command.ts";
import type { benchFlags } from "./flags.ts";
import { table } from "./tables.ts";

/** Runs the command. */
export async function bench({ flags }: Invocation<typeof benchFlags>): Promise<number> {
  console.log(`${await machine()}\n`);
  if (flags.only !== "end-to-end") console.log(`${await kernelTable(flags.timeEach)}\n`);
  if (flags.only !== "kernels") console.log(await endToEndTable(flags));
  return EXIT.ok;
}

async function kernelTable(msEach: number): Promise<string> {
  const figures = await benchKernels({ msEach });
  const rows = figures.map((f) => [
    f.name,
    f.shape,
    f.ms.toFixed(3),
    f.gflops.toFixed(2),
    f.gbPerS.toFixed(2),
    f.ratioToF16 === undefined ? "" : `${f.ratioToF16.toFixed(2)} x`,
  ]);
  return table(["kernel", "shape", "ms", "GFLOP/s", "GB/s", "against f16"], rows);
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
