/** A thread of a pool: waits for a round, runs its part, says so. */
import { isWorkerNamed } from "../../base/workers.ts";
import { loadKernels } from "./kernels.ts";
import {
  ARGS_A_THREAD,
  control,
  KERNEL_NAMES,
  KERNEL_WORKER_NAME,
  NOTHING,
  type PoolStart,
  SLOT,
} from "./pool_protocol.ts";

/**
 * Looks at the counter before going to sleep: some 0.4 ms at most, longer than the gaps in a step, since waking up costs
 * more than many a product. Looking in vain takes time from whoever else wants the processor, the caller perhaps: the
 * bound halves each time it was in vain and doubles each time it was not.
 */
const MOST_SPINS = 500_000, LEAST_SPINS = 40_000;
let bound = MOST_SPINS;

/** Takes over this Worker. It leaves its loop only when the pool is closed. */
export function serveKernelWorker(): void {
  const scope = globalThis as unknown as {
    onmessage: ((message: MessageEvent<PoolStart>) => void) | null;
    postMessage(message: string): void;
    close(): void;
  };
  scope.onmessage = ({ data }) => {
    const kernels = loadKernels(data.memory);
    const state = control.state(data.buffer);
    const args = control.args(data.buffer, data.threads);
    const mine = args.subarray(data.thread * ARGS_A_THREAD, (data.thread + 1) * ARGS_A_THREAD);
    let seen = Atomics.load(state, SLOT.epoch);
    scope.postMessage("ready");
    while (true) {
      seen = nextRound(state, seen);
      if (Atomics.load(state, SLOT.stop) === 1) break;
      const part = Atomics.exchange(state, SLOT.kernels + data.thread, NOTHING);
      // The caller may have taken the part back, or there was none.
      if (part === NOTHING) continue;
      // A kernel takes as many of the arguments as it has parameters.
      kernels[KERNEL_NAMES[part]!](...mine);
      Atomics.add(state, SLOT.done, 1);
      Atomics.notify(state, SLOT.done);
    }
    scope.close();
  };
}

/** Returns the round's number once it differs from the one seen last. */
function nextRound(state: Int32Array<SharedArrayBuffer>, seen: number): number {
  for (let spins = 0; spins < bound; spins++) {
    const epoch = Atomics.load(state, SLOT.epoch);
    if (epoch === seen) continue;
    bound = Math.min(MOST_SPINS, 2 * bound);
    return epoch;
  }
  bound = Math.max(LEAST_SPINS, bound / 2);
  while (Atomics.load(state, SLOT.epoch) === seen) Atomics.wait(state, SLOT.epoch, seen);
  return Atomics.load(state, SLOT.epoch);
}

if (isWorkerNamed(KERNEL_WORKER_NAME)) serveKernelWorker();
