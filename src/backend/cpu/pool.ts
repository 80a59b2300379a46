/** Threads over one shared WASM memory: each runs its part of a product, the caller runs the first and waits. */
import { MoqeError } from "../../base/errors.ts";
import { workerUrl } from "../../base/workers.ts";
import type { Kernels } from "./kernels.ts";
import {
  ARGS_A_THREAD,
  control,
  KERNEL_NAMES,
  KERNEL_WORKER_NAME,
  type PoolStart,
  SLOT,
} from "./pool_protocol.ts";

/** A kernel with its arguments. */
export interface KernelCall {
  readonly kernel: keyof Kernels;
  readonly args: readonly number[];
}

/** Looks at the counter before going to sleep: longer than any part lasts beside another of its size. */
const SPINS = 500_000;
const START_TIMEOUT_MS = 10_000;

/** Threads 1 .. threads - 1; thread 0 is the caller. Used by one caller at a time, which never yields in between. */
export class KernelPool {
  readonly #workers: Worker[] = [];
  readonly #state: Int32Array<SharedArrayBuffer>;
  readonly #args: Float64Array<SharedArrayBuffer>;
  readonly #buffer: SharedArrayBuffer;

  private constructor(readonly threads: number) {
    this.#buffer = new SharedArrayBuffer(control.bytes(threads));
    this.#state = control.state(this.#buffer);
    this.#args = control.args(this.#buffer, threads);
  }

  /** Starts the Workers and waits until each has its kernels. Throws MoqeError `unsupported` where they cannot start. */
  static async start(threads: number, memory: WebAssembly.Memory): Promise<KernelPool> {
    const pool = new KernelPool(threads);
    try {
      await Promise.all(
        Array.from({ length: threads - 1 }, (_, i) => pool.#startWorker(i + 1, memory)),
      );
      return pool;
    } catch (error) {
      pool.close();
      throw error;
    }
  }

  async #startWorker(thread: number, memory: WebAssembly.Memory): Promise<void> {
    const url = workerUrl("./pool_worker.ts", import.meta.url);
    const worker = new Worker(url, { type: "module", name: KERNEL_WORKER_NAME });
    this.#workers.push(worker);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const failed = (observed: string) =>
      new MoqeError("unsupported", {
        action: `start kernel thread ${thread}`,
        rule: "it must load the kernels",
        observed,
        remedy: "run with --threads 1",
      });
    worker.onmessage = () => resolve();
    worker.onerror = (event) => {
      event.preventDefault();
      reject(failed(event.message));
    };
    const timer = setTimeout(() => reject(failed("no answer in time")), START_TIMEOUT_MS);
    const start: PoolStart = { memory, buffer: this.#buffer, thread, threads: this.threads };
    worker.postMessage(start);
    await promise.finally(() => clearTimeout(timer));
  }

  /** Sets what a thread is to do at the next `start`; undefined for nothing. */
  give(thread: number, call: KernelCall | undefined): void {
    this.#state[SLOT.kernels + thread] = call === undefined
      ? -1
      : KERNEL_NAMES.indexOf(call.kernel);
    if (call !== undefined) this.#args.set(call.args, thread * ARGS_A_THREAD);
  }

  /** Lets all threads go. */
  start(): void {
    Atomics.store(this.#state, SLOT.done, 0);
    Atomics.add(this.#state, SLOT.epoch, 1);
    Atomics.notify(this.#state, SLOT.epoch);
  }

  /** Returns when every thread is done. */
  wait(): void {
    const all = this.threads - 1;
    for (let spins = 0; spins < SPINS; spins++) {
      if (Atomics.load(this.#state, SLOT.done) === all) return;
    }
    for (let done = Atomics.load(this.#state, SLOT.done); done !== all;) {
      Atomics.wait(this.#state, SLOT.done, done, 1);
      done = Atomics.load(this.#state, SLOT.done);
    }
  }

  /** Ends the threads. A Worker that waits outlives terminate(), so each is told first. */
  close(): void {
    Atomics.store(this.#state, SLOT.stop, 1);
    this.start();
    for (const worker of this.#workers) worker.terminate();
  }
}
