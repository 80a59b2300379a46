/** An engine that gives its memory back while nobody asks, and comes back for the next request. */
import { collectGarbage } from "../base/garbage.ts";
import type { LoadedEngine } from "./load.ts";
import { cancelled, expired } from "./refusals.ts";

/** How long a request waits. */
export interface Patience {
  readonly signal: AbortSignal;
  readonly timeoutMs: number | undefined;
}

/** What is kept of an engine that was given back; the rest of it is garbage. */
export type Remains = Pick<LoadedEngine, "rssBytes" | "device" | "stats">;

/** What wakes it. */
export interface SleeperOptions {
  /** Time without a request after which it is unloaded; 0 is never. */
  readonly idleMs: number;
  /** Makes another in its place. */
  load(before: Remains): Promise<LoadedEngine>;
  /** Told of every engine that took another's place here. */
  woke(engine: LoadedEngine): void;
}

/**
 * Counts the requests under way. `use` is a request's engine, loaded anew where it was given back; a load that fails
 * is that request's error, and the next one tries again.
 */
export class Sleeper {
  /** Not there while it sleeps. */
  #engine: Promise<LoadedEngine> | undefined;
  /** The engine that was given back, when that is done. */
  #asleep: Promise<Remains> | undefined;
  #running = 0;
  /** Called when no request is under way any more. */
  readonly #quiet: (() => void)[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(engine: LoadedEngine, private readonly options: SleeperOptions) {
    this.#engine = Promise.resolve(engine);
    this.#watch();
  }

  /** Another engine is in its place from now on: the device was lost. */
  replace(engine: Promise<LoadedEngine>): void {
    this.#engine = engine;
    this.#asleep = undefined;
    this.#watch();
  }

  /**
   * Runs `work` with the engine and what is left of the patience. A load goes on for those who come later where this
   * request does not wait for it: MoqeError `cancelled` or `expired`.
   */
  async use<T>(
    work: (engine: LoadedEngine, left: Patience) => Promise<T>,
    patience: Patience,
  ): Promise<T> {
    clearTimeout(this.#timer);
    this.#running++;
    const start = performance.now();
    try {
      const engine = await within(this.#awake(), patience);
      const { signal, timeoutMs } = patience;
      const waited = performance.now() - start;
      const left = timeoutMs === undefined
        ? undefined
        : Math.max(0, Math.round(timeoutMs - waited));
      return await work(engine, { signal, timeoutMs: left });
    } finally {
      this.#running--;
      if (this.#running === 0) { for (const go of this.#quiet.splice(0)) go(); }
      this.#watch();
    }
  }

  /** For statistics and the end: the engine that is there, or that was. */
  async current(): Promise<Remains> {
    return await (this.#asleep ?? this.#engine!);
  }

  /** Finishes what was accepted and gives everything back for good. */
  async close(): Promise<void> {
    // Of a request that wakes it no engine knows yet that it is to be finished.
    while (this.#running > 0) await new Promise<void>((resolve) => this.#quiet.push(resolve));
    clearTimeout(this.#timer);
    if (this.#asleep !== undefined) return void await this.#asleep;
    await (await this.#engine!).close();
  }

  #awake(): Promise<LoadedEngine> {
    const sleep = this.#asleep;
    if (sleep === undefined) return this.#engine!;
    this.#asleep = undefined;
    // Never both in memory.
    const next = sleep.then((before) => this.options.load(before));
    this.#engine = next;
    next.then((engine) => this.options.woke(engine), () => this.#asleep = sleep);
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
    const engine = this.#engine;
    const before = await engine?.catch(() => undefined);
    // Lost and replaced meanwhile: that one is given up already.
    if (engine !== this.#engine) return;
    if (before === undefined || this.#running > 0 || this.#asleep !== undefined) return;
    this.#engine = undefined;
    this.#asleep = giveBack(before);
  }
}

/**
 * Closes an engine and has its memory collected: a heap of WebAssembly goes back to the system with the objects that
 * hold it alone, and who sleeps makes no garbage that would have them looked at.
 */
async function giveBack(engine: LoadedEngine): Promise<Remains> {
  // What cannot be kept (profiles, blocks for the disk) is no reason never to wake again.
  await engine.close().catch(() => {});
  const last = engine.stats(), { rssBytes, device } = engine;
  // Only when nobody's stack has it any more.
  setTimeout(collectGarbage);
  return { rssBytes, device, stats: () => last };
}

async function within<T>(promise: Promise<T>, { signal, timeoutMs }: Patience): Promise<T> {
  if (signal.aborted) throw cancelled();
  const { promise: never, reject } = Promise.withResolvers<never>();
  const abort = () => reject(cancelled());
  signal.addEventListener("abort", abort, { once: true });
  const timer = timeoutMs === undefined
    ? undefined
    : setTimeout(() => reject(expired(timeoutMs)), timeoutMs);
  try {
    return await Promise.race([promise, never]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}
