/** Long work of one request on the engine's thread, with pauses in which everybody else has a turn. */
import { setImmediate } from "node:timers";
import type { TranslateOptions } from "./protocol.ts";
import { cancelled, expired } from "./refusals.ts";

/** Milliseconds of work between two pauses. */
const WORK_MS = 10;

/**
 * Gives the event loop a turn, so that messages (cancellations, new requests) are seen between steps.
 * A timer of 0 ms takes 2 ms in Deno, more than a step of a small model.
 */
export const yieldToEvents = () => new Promise<void>((resolve) => void setImmediate(resolve));

/** The pauses of one request, which ends in one of them where its client left or its time is over. */
export class Breaths {
  readonly #startMs = performance.now();
  #sinceMs = this.#startMs;

  constructor(private readonly request: Pick<TranslateOptions, "signal" | "timeoutMs">) {}

  /** What is left of the request's time. */
  leftMs(): number | undefined {
    const { timeoutMs } = this.request;
    if (timeoutMs === undefined) return undefined;
    return Math.max(0, timeoutMs - Math.round(performance.now() - this.#startMs));
  }

  /** Goes through all steps. Throws MoqeError `cancelled`, `expired`. */
  async through<T>(steps: Generator<void, T>): Promise<T> {
    for (let step = steps.next();; step = steps.next()) {
      if (step.done) return step.value;
      if (performance.now() - this.#sinceMs < WORK_MS) continue;
      await yieldToEvents();
      const { signal, timeoutMs } = this.request;
      if (signal?.aborted) throw cancelled();
      if (timeoutMs !== undefined && this.leftMs() === 0) throw expired(timeoutMs);
      this.#sinceMs = performance.now();
    }
  }
}
