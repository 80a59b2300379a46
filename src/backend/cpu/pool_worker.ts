/** A thread of a pool: waits for a round, runs its part, says so. */
import { isWorkerNamed } from "../../base/workers.ts";
import { loadKernels } from "./kernels.ts";
import {
  ARGS_A_THREAD,
  control,
  KERNEL_NAMES,
  KERNEL_WORKER_NAME,
  type PoolStart,
  SLOT,
} from "./pool_protocol.ts";

/**
 * Looks at the counter before going to sleep: some 0.4 ms, longer than the gaps in a step, since waking up costs
 * more than many a product.
 */
const SPINS = 500_000;

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
      const name = KERNEL_NAMES[state[SLOT.kernels + data.thread]!];
      // A kernel takes as many of the arguments as it has parameters.
      if (name !== undefined) kernels[name](...mine);
      Atomics.add(state, SLOT.done, 1);
      Atomics.notify(state, SLOT.done);
    }
    scope.close();
  };
}

/** Returns the round's number once it differs from the one seen last. */
function nextRound(state: Int32Array<SharedArrayBuffer>, seen: number): number {
  for (let spins = 0; spins < SPINS; spins++) {
    const epoch = Atomics.load(state, SLOT.epoch);
    if (epoch !== seen) return epoch;
  }
  while (Atomics.load(state, SLOT.epoch) === seen) Atomics.wait(state, SLOT.epoch, seen);
  return Atomics.load(state, SLOT.epoch);
}

if (isWorkerNamed(KERNEL_WORKER_NAME)) serveKernelWorker();
