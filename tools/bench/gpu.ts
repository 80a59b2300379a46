/** What a GPU does: kernels beside the bandwidth of a copy, and decoder steps taken apart. */
import { BENCH_SHAPE, benchKernels } from "./kernels.ts";
import { type Geometry, NLLB_54B, SMALL, WIDTHS, type Widths } from "./geometry.ts";
import { MOST_BATCH, StepBench } from "./step.ts";
import type { OpenedDevice } from "../../src/backend/webgpu/adapter.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { copyBandwidth, gpuStopwatch } from "./stopwatch.ts";
import type { Values } from "../../src/base/config.ts";
import { MoqeError } from "../../src/base/errors.ts";
import { Ledger } from "../../src/base/ledger.ts";
import { kernelTable } from "./bench.ts";
import { tileTables } from "./tiles.ts";
import type { benchFlags } from "./flags.ts";
import { Progress } from "../../src/cli/progress.ts";
import { table } from "../../src/cli/tables.ts";

/** No budget: what the GPU has is what there is. */
const ROOM = 2 ** 40;
const BATCHES = [1, 4, 16, MOST_BATCH];
/** [K, N]: of the shipped model's kind, and NLLB-MoE-54B's. */
const SMALL_SIZES = [[256, 1024], [1024, 1024]] as const;
const LARGE_SIZES = [[2048, 2048], [2048, 8192], [8192, 2048]] as const;

/** Tables, one after the other as they are measured. */
export async function* gpuTables(
  opened: OpenedDevice,
  flags: Values<typeof benchFlags>,
): AsyncGenerator<string> {
  yield `${opened.adapterName}${opened.isFallback ? ", a software adapter" : ""}`;
  if (flags.only === "all" || flags.only === "kernels") yield await kernels(opened, flags.timeEach);
  if (flags.only === "tiles") yield* tileTables(opened, flags.timeEach);
  if (flags.only !== "all" && flags.only !== "steps") return;
  for (const widths of WIDTHS) {
    yield await steps(opened, opened.isFallback ? SMALL : NLLB_54B, widths);
  }
}

async function open(opened: OpenedDevice) {
  const ledger = new Ledger({ gpuBytes: ROOM, hostBytes: 0 });
  return await createWebGpuBackend({ ledger, opened, keepDevice: true });
}

async function kernels(opened: OpenedDevice, msEach: number): Promise<string> {
  const backend = await open(opened), { isFallback } = opened;
  backend.prepare(BENCH_SHAPE);
  const stopwatch = gpuStopwatch(backend, { msEach, isFallback });
  const copied = Math.min(isFallback ? 2 ** 26 : 2 ** 28, backend.limits.maxBufferBytes);
  const gbPerS = await copyBandwidth(backend, stopwatch, copied);
  const sizes = isFallback ? SMALL_SIZES : LARGE_SIZES;
  const progress = new Progress({ force: true });
  const figures = await benchKernels(
    backend,
    stopwatch,
    sizes,
    (share) => progress.show("kernels", share),
  );
  progress.finish("kernels");
  backend.close();
  return `A copy reads and writes ${gbPerS.toFixed(1)} GB/s\n\n${kernelTable(figures, gbPerS)}`;
}

async function steps(opened: OpenedDevice, geometry: Geometry, widths: Widths): Promise<string> {
  const title = `Decoder step, geometry of ${geometry.name}, ${widths.name}`;
  const backend = await open(opened);
  try {
    backend.prepare({
      maxRows: MOST_BATCH,
      maxCols: geometry.dFf,
      maxHidden: geometry.dFf,
      topK: 2,
      maxCandidates: 2,
    });
    const bench = new StepBench(backend, geometry, widths), rows: string[][] = [];
    const progress = new Progress({ force: true });
    for (const batch of BATCHES) {
      const f = await bench.measure(batch);
      progress.show(`steps, ${widths.name}: batch ${batch}`);
      const parts = [f.encodeMs, f.submitMs, f.waitMs], whole = parts.reduce((a, b) => a + b, 0);
      rows.push([
        String(batch),
        ...[...parts, whole, f.piecesMs, f.overlappedMs].map((ms) => ms.toFixed(2)),
        (1e3 * batch / whole).toFixed(0),
        String(f.operations),
      ]);
    }
    const columns = ["batch", "encode ms", "submit ms", "wait ms", "step ms", "in pieces ms"];
    const others = ["overlapped ms", "tokens/s", "operations"];
    return `${title}\n\n${table([...columns, ...others], rows)}`;
  } catch (error) {
    // The larger form of a model may not fit in a GPU that the smaller one does.
    if (!(error instanceof MoqeError)) throw error;
    return `${title}: ${error.message}`;
  } finally {
    backend.close();
  }
}
