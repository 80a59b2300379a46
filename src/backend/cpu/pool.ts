/**
 * Threads over one shared WASM memory: each runs its part of a product, the caller runs the first, then whatever
 * nobody has begun, and waits for the rest.
 */
import { MoqeError } from "../../base/errors.ts";
import { workerUrl } from "../../base/workers.ts";
import type { Kernels } from "./kernels.ts";
import {
  ARGS_A_THREAD,
  control,
  KERNEL_NAMES,
  KERNEL_WORKER_NAME,
  NOTHING,
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
/** Products after which it is judged whether sharing pays: where the caller waited longer than it worked, it does not. */
const WINDOW = 64;
/** One bad moment is no verdict. */
const GRACE_MS = 4;
/** Products that the caller then does alone: twice as many each time it does not pay, half as many when it does. */
const LEAST_REST = 512, LONGEST_REST = 32_768;
const START_TIMEOUT_MS = 10_000;

/** Threads 1 .. threads - 1; thread 0 is the caller. Used by one caller at a time, which never yields in between. */
export class KernelPool {
  readonly #workers: Worker[] = [];
  readonly #state: Int32Array<SharedArrayBuffer>;
  readonly #args: Float64Array<SharedArrayBuffer>;
  readonly #buffer: SharedArrayBuffer;
  /** Parts of this round that are or will be a thread's. */
  #given = 0;
  #rest = 0;
  #nextRest = LEAST_REST;
  /** Of the product at hand: when it was shared, when the caller's own work on it was done. */
  #startMs = 0;
  #doneMs = 0;
  /** Of this window. */
  #judged = 0;
  #workedMs = 0;
  #waitedMs = 0;

  private constructor(readonly threads: number) {
    this.#buffer = new SharedArrayBuffer(control.bytes(threads));
    this.#state = control.state(this.#buffer);
    this.#state.fill(NOTHING, SLOT.kernels);
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

  /**
   * Whether this product is worth sharing. Where other processes want the same processors, a thread may be off its
   * own in the middle of a part, and the caller waits for milliseconds: where that is so it works alone for a while.
   */
  willing(): boolean {
    if (this.#rest === 0) return true;
    this.#rest--;
    return false;
  }

  /** Gives threads 1, 2, ... one part each and lets them go; a missing part is nothing to do. */
  start(parts: readonly (KernelCall | undefined)[]): void {
    this.#startMs = performance.now();
    // Nobody is at work now, so nobody counts meanwhile.
    Atomics.store(this.#state, SLOT.done, 0);
    this.#given = 0;
    for (const [i, part] of parts.entries()) {
      if (part === undefined) continue;
      const thread = i + 1;
      this.#args.set(part.args, thread * ARGS_A_THREAD);
      // Whoever takes the number out owns the part; a thread may see it at once.
      Atomics.store(this.#state, SLOT.kernels + thread, KERNEL_NAMES.indexOf(part.kernel));
      this.#given++;
    }
    Atomics.add(this.#state, SLOT.epoch, 1);
    Atomics.notify(this.#state, SLOT.epoch);
  }

  /** Takes back a part that its thread has not begun: true, and it is the caller's to run. */
  reclaim(thread: number): boolean {
    const mine = Atomics.exchange(this.#state, SLOT.kernels + thread, NOTHING) !== NOTHING;
    if (mine) this.#given--;
    return mine;
  }

  /** Returns when every part that a thread has begun is done. */
  wait(): void {
    this.#doneMs = performance.now();
    let spins = 0;
    while (Atomics.load(this.#state, SLOT.done) !== this.#given) {
      if (spins++ < SPINS) continue;
      const done = Atomics.load(this.#state, SLOT.done);
      if (done !== this.#given) Atomics.wait(this.#state, SLOT.done, done, 1);
    }
    this.#judge();
  }

  #judge(): void {
    const now = performance.now();
    this.#workedMs += this.#doneMs - this.#startMs;
    this.#waitedMs += now - this.#doneMs;
    const pays = this.#waitedMs <= this.#workedMs + GRACE_MS;
    if (++this.#judged < WINDOW && pays) return;
    if (!pays) this.#rest = this.#nextRest;
    const next = pays ? this.#nextRest / 2 : this.#nextRest * 2;
    this.#nextRest = Math.max(LEAST_REST, Math.min(LONGEST_REST, next));
    this.#judged = this.#workedMs = this.#waitedMs = 0;
  }

  /** Ends the threads. A Worker that waits outlives terminate(), so each is told first. */
  close(): void {
    Atomics.store(this.#state, SLOT.stop, 1);
    this.start([]);
    for (const worker of this.#workers) worker.terminate();
  }
}
