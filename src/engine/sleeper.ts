/** An engine that gives its memory back while nobody asks, and comes back for the next request. */
import type { LoadedEngine } from "./load.ts";

/** What wakes it. */
export interface SleeperOptions {
  /** Time without a request after which it is unloaded; 0 is never. */
  readonly idleMs: number;
  /** Makes another in its place. */
  load(before: LoadedEngine): Promise<LoadedEngine>;
  /** Told of every engine that took another's place here. */
  woke(engine: LoadedEngine): void;
}

/**
 * Counts the requests under way. `use` is a request's engine, loaded anew where it was given back; a load that fails
 * is that request's error, and the next one tries again.
 */
export class Sleeper {
  #engine: Promise<LoadedEngine>;
  /** The engine that was given back, and when that is done. */
  #asleep: { before: LoadedEngine; closed: Promise<void> } | undefined;
  #running = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(engine: LoadedEngine, private readonly options: SleeperOptions) {
    this.#engine = Promise.resolve(engine);
    this.#watch();
  }

  /** Another engine is in its place from now on: the device was lost. */
  replace(engine: Promise<LoadedEngine>): void {
    this.#engine = engine;
  }

  async use<T>(work: (engine: LoadedEngine) => Promise<T>): Promise<T> {
    clearTimeout(this.#timer);
    this.#running++;
    try {
      return await work(await this.#awake());
    } finally {
      this.#running--;
      this.#watch();
    }
  }

  /** For statistics and the end: the engine that is there, or that was. */
  async current(): Promise<LoadedEngine> {
    return this.#asleep?.before ?? await this.#engine;
  }

  /** Finishes what was accepted and gives everything back for good. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#asleep !== undefined) return await this.#asleep.closed;
    await (await this.#engine).close();
  }

  #awake(): Promise<LoadedEngine> {
    const sleep = this.#asleep;
    if (sleep === undefined) return this.#engine;
    this.#asleep = undefined;
    // Never both in memory.
    const next = sleep.closed.then(() => this.options.load(sleep.before));
    this.#engine = next;
    next.then(
      (engine) => this.options.woke(engine),
      () => this.#asleep = { before: sleep.before, closed: Promise.resolve() },
    );
    return next;
  }

  #watch(): void {
    clearTimeout(this.#timer);
    const { idleMs } = this.options;
    if (idleMs === 0 || this.#running > 0 || this.#asleep !== undefined) return;
    this.#timer = setTimeout(() => this.#sleep(), idleMs);
    Deno.unrefTimer(this.#timer as unknown as number);
  }

  async #sleep(): Promise<void> {
    const before = await this.#engine.catch(() => undefined);
    if (before === undefined || this.#running > 0 || this.#asleep !== undefined) return;
    this.#asleep = { before, closed: before.close() };
  }
}
