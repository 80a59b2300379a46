/** moqe bench: what this machine does, as tables. */
import { benchKernels } from "../backend/cpu/bench.ts";
import { EXIT, type Invocation } from "./command.ts";
import type { benchFlags } from "./flags.ts";
import { table } from "./tables.ts";

/** Runs the command. */
export async function bench({ flags }: Invocation<typeof benchFlags>): Promise<number> {
  const figures = await benchKernels({ msEach: flags.timeEach });
  const rows = figures.map((f) => [
    f.name,
    f.shape,
    f.ms.toFixed(3),
    f.gflops.toFixed(2),
    f.gbPerS.toFixed(2),
    f.ratioToF16 === undefined ? "" : `${f.ratioToF16.toFixed(2)} x`,
  ]);
  console.log(table(["kernel", "shape", "ms", "GFLOP/s", "GB/s", "against f16"], rows));
  return EXIT.ok;
}
