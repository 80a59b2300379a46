/** Time around one HTTP attempt: how long it may be silent or slow, what its failure is, and the pause after it. */
import { errorText } from "../base/errors.ts";
import { HttpFailure } from "./http_failure.ts";

/** Aborts after timeoutMs without a byte, after deadlineMs in all, or with the caller's signal. */
export class Watchdog {
  readonly #controller = new AbortController();
  readonly #onAbort = () => this.#controller.abort();
  readonly #deadline: ReturnType<typeof setTimeout>;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Why it aborted by itself. */
  expired: string | undefined;

  constructor(
    readonly timeoutMs: number,
    readonly deadlineMs: number,
    readonly outer: AbortSignal | undefined,
  ) {
    if (outer?.aborted) this.#controller.abort();
    outer?.addEventListener("abort", this.#onAbort);
    this.#deadline = setTimeout(
      () => this.#expire(`it was not whole after ${Math.round(deadlineMs)} ms`),
      deadlineMs,
    );
    this.feed();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  feed(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => this.#expire(`no byte came for ${this.timeoutMs} ms`),
      this.timeoutMs,
    );
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#deadline);
    this.outer?.removeEventListener("abort", this.#onAbort);
  }

  #expire(why: string): void {
    this.expired = why;
    this.#controller.abort();
  }
}

/** What fetch throws for connections (refused, reset) is a TypeError: worth a retry. Its message holds the URL. */
export function asFailure(error: unknown): HttpFailure {
  if (error instanceof HttpFailure) return error;
  // The message quotes the value, which may be a credential.
  if (/^Invalid header/i.test(errorText(error))) {
    return new HttpFailure(
      "a header cannot be sent: what it is made of has a line break",
      undefined,
    );
  }
  return new HttpFailure(errorText(error).replaceAll(/\s*\(?[a-z]+:\/\/[^\s)]*\)?/gi, ""), "reset");
}

/** Waits, or returns early when the signal fires. */
export function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done);
  });
}
