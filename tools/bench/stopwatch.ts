/** Timing on a GPU: calls are recorded and run without waiting; what one readback costs is taken off. */
import type { Backend, DeviceBuffer } from "../../src/backend/contract.ts";
import type { Stopwatch } from "./kernels.ts";

/** Weights to go through before one is met again: more than a GPU's caches hold. */
const COLD_BYTES = 256 * 2 ** 20;
const MOST_COPIES = 64;
const MOST_CALLS = 1024;

/** A stopwatch for a backend whose operations run later. `isFallback`: all of its memory is as fast. */
export function gpuStopwatch(
  backend: Backend,
  { msEach, isFallback }: { msEach: number; isFallback: boolean },
): Stopwatch {
  const word = backend.alloc("bench", 4, "activations");
  return {
    async time(call) {
      call(0);
      await backend.readback(word, 0, 4);
      const wait = await waitMs(backend, word);
      const run = async (calls: number) => {
        const start = performance.now();
        for (let i = 0; i < calls; i++) call(i);
        await backend.readback(word, 0, 4);
        return Math.max(1e-3, performance.now() - start - wait) / calls;
      };
      const once = await run(1);
      if (once > msEach) return once;
      const calls = Math.max(1, Math.min(MOST_CALLS, Math.floor(msEach / 2 / once)));
      return Math.min(await run(calls), await run(calls));
    },
    copies: (bytes) => isFallback ? 1 : Math.min(MOST_COPIES, Math.ceil(COLD_BYTES / bytes)),
  };
}

/** Milliseconds of a readback with nothing to wait for: the best of a few. */
async function waitMs(backend: Backend, word: DeviceBuffer): Promise<number> {
  let best = Infinity;
  for (let i = 0; i < 5; i++) {
    const start = performance.now();
    await backend.readback(word, 0, 4);
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

/** GB/s at which a large buffer is copied: bytes read and bytes written, both counted. */
export async function copyBandwidth(
  backend: Backend,
  stopwatch: Stopwatch,
  bytes: number,
): Promise<number> {
  const [from, to] = [0, 1].map(() => backend.alloc("bench", bytes, "activations"));
  const ms = await stopwatch.time(() => backend.copy(from!, 0, to!, 0, bytes));
  for (const b of [from!, to!]) backend.free(b);
  return 2 * bytes / ms / 1e6;
}
