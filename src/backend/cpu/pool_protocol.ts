/** What a pool and its threads share: a few counters, and each thread's arguments. */
import type { Kernels } from "./kernels.ts";

/** Name of a pool's Workers: a one-file bundle tells by it what it was started as. */
export const KERNEL_WORKER_NAME = "moqe-kernels";

/** Kernels that threads run, by index. */
export const KERNEL_NAMES: readonly (keyof Kernels)[] = [
  "gemm",
  "gemv2",
  "gemv3",
  "gemv4",
  "gemv8",
  "gemv16",
  "gemv32",
  "gemvTile",
  "gemvTrellis",
];

/** More than any kernel has. */
export const ARGS_A_THREAD = 32;

/** In a thread's place: no part, or one that has been taken. */
export const NOTHING = -1;

/** Places in the state: rounds started, parts that threads have done of this round, end, and each thread's kernel. */
export const SLOT = { epoch: 0, done: 1, stop: 2, kernels: 8 } as const;

const stateBytes = (threads: number) => Math.ceil((SLOT.kernels + threads) * 4 / 64) * 64;

/** Views of the shared bytes: state i32, then arguments f64 [threads, ARGS_A_THREAD]. */
export const control = {
  bytes: (threads: number) => stateBytes(threads) + threads * ARGS_A_THREAD * 8,
  state: (buffer: SharedArrayBuffer) => new Int32Array(buffer),
  args: (buffer: SharedArrayBuffer, threads: number) =>
    new Float64Array(buffer, stateBytes(threads)),
};

/** The one message that a thread is sent. */
export interface PoolStart {
  readonly memory: WebAssembly.Memory;
  readonly buffer: SharedArrayBuffer;
  readonly thread: number;
  readonly threads: number;
}
