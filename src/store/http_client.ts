/** Byte ranges over HTTP(S): one checked answer a call, with timeouts, retries and redirects; stores build on it. */
import { MoqeError } from "../base/errors.ts";
import { type HttpAnswer, HttpFailure, readBody, type Wanted } from "./http_answer.ts";
import { followable, shownUrl, splitCredentials } from "./http_url.ts";

export interface HttpOptions {
  /** For the answer's head, and again for each silence within its body. */
  readonly timeoutMs?: number;
  /** Attempts in all. */
  readonly attempts?: number;
  /** The first pause before a retry; it doubles, and a random share of it is waited. */
  readonly retryMs?: number;
  readonly maxRetryMs?: number;
}

export interface HttpRead {
  /** The bytes wanted of a whole; without them the whole, up to maxBytes. */
  readonly range?: { readonly offset: number; readonly length: number } | undefined;
  readonly maxBytes?: number | undefined;
  /** Where a range's bytes go, of the range's length; else a new array. */
  readonly into?: Uint8Array<ArrayBuffer> | undefined;
  readonly noCache?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

const MAX_REDIRECTS = 5;
/** A server may ask for a longer pause than this; then we give up sooner than it likes. */
const MAX_RETRY_AFTER_MS = 10_000;

/** Reads from URLs. Counts its retries. Holds no state of a connection. */
export class HttpClient {
  /** Attempts beyond the first, over all calls. */
  retries = 0;
  readonly #timeoutMs: number;
  readonly #attempts: number;
  readonly #retryMs: number;
  readonly #maxRetryMs: number;

  constructor(options: HttpOptions = {}) {
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.#attempts = options.attempts ?? 5;
    this.#retryMs = options.retryMs ?? 200;
    this.#maxRetryMs = options.maxRetryMs ?? 5_000;
  }

  /**
   * @throws MoqeError `unavailable` where retries did not help or there is no such object; `corrupt` for an
   * answer that is not what was asked for; `cancelled` by the signal
   */
  async read(url: URL, read: HttpRead): Promise<HttpAnswer> {
    for (let attempt = 1;; attempt++) {
      try {
        return await this.#once(url, read);
      } catch (error) {
        if (read.signal?.aborted) throw cancelled(url);
        const failure = asFailure(error);
        if (!failure.retry || attempt >= this.#attempts) throw giveUp(url, failure, attempt);
        this.retries++;
        await pause(this.#pauseMs(attempt, failure.retryAfterMs), read.signal);
      }
    }
  }

  /** Full jitter: clients that failed together do not come back together. */
  #pauseMs(attempt: number, retryAfterMs: number | undefined): number {
    const jitter = Math.random() * Math.min(this.#maxRetryMs, this.#retryMs * 2 ** (attempt - 1));
    return Math.max(jitter, Math.min(retryAfterMs ?? 0, MAX_RETRY_AFTER_MS));
  }

  async #once(url: URL, read: HttpRead): Promise<HttpAnswer> {
    const watchdog = new Watchdog(this.#timeoutMs, read.signal);
    let response: Response | undefined;
    try {
      response = await send(url, read, watchdog.signal);
      const wanted: Wanted = { range: read.range, maxBytes: read.maxBytes, into: read.into };
      return await readBody(response, wanted, () => watchdog.feed());
    } catch (error) {
      if (watchdog.expired) throw new HttpFailure(`no byte came for ${this.#timeoutMs} ms`, true);
      throw error;
    } finally {
      watchdog.stop();
      if (response?.body && !response.body.locked) await response.body.cancel().catch(() => {});
    }
  }
}

/** Sends a request and follows safe redirects, without credentials to another origin. */
async function send(start: URL, read: HttpRead, signal: AbortSignal): Promise<Response> {
  let { url, authorization } = splitCredentials(start);
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    // identity: a compressed body's ranges are not the object's.
    const headers = new Headers({ "accept-encoding": "identity" });
    if (authorization !== undefined) headers.set("authorization", authorization);
    if (read.noCache) {
      headers.set("cache-control", "no-cache");
      headers.set("pragma", "no-cache");
    }
    if (read.range !== undefined) {
      const { offset, length } = read.range;
      headers.set("range", `bytes=${offset}-${offset + length - 1}`);
    }
    const response = await fetch(url, { headers, signal, redirect: "manual" });
    if (![301, 302, 303, 307, 308].includes(response.status)) return response;
    await response.body?.cancel();
    const next = followable(url, response.headers.get("location"));
    if (typeof next === "string") throw new HttpFailure(next, false, "corrupt");
    if (next.origin !== url.origin) authorization = undefined;
    url = next;
  }
  throw new HttpFailure(`more than ${MAX_REDIRECTS} redirects`, false, "corrupt");
}

/** Aborts when nothing was fed for timeoutMs, or with the caller's signal. */
class Watchdog {
  readonly #controller = new AbortController();
  readonly #onAbort = () => this.#controller.abort();
  #timer: ReturnType<typeof setTimeout> | undefined;
  expired = false;

  constructor(readonly timeoutMs: number, readonly outer: AbortSignal | undefined) {
    if (outer?.aborted) this.#controller.abort();
    outer?.addEventListener("abort", this.#onAbort);
    this.feed();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  feed(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.expired = true;
      this.#controller.abort();
    }, this.timeoutMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.outer?.removeEventListener("abort", this.#onAbort);
  }
}

/** What fetch throws for connections (refused, reset, ended early) is a TypeError: worth a retry. */
function asFailure(error: unknown): HttpFailure {
  if (error instanceof HttpFailure) return error;
  return new HttpFailure(error instanceof Error ? error.message : String(error), true);
}

function giveUp(url: URL, failure: HttpFailure, attempts: number): MoqeError {
  const times = attempts > 1 ? ` (${attempts} attempts)` : "";
  return new MoqeError(failure.code, {
    action: `read ${shownUrl(url)}`,
    rule: `${failure.message}${times}`,
    remedy: failure.code === "corrupt"
      ? "use a server that answers byte ranges as they are"
      : "check the address and the server",
    cause: failure,
  });
}

function cancelled(url: URL): MoqeError {
  return new MoqeError("cancelled", {
    action: `read ${shownUrl(url)}`,
    rule: "nobody waits for it any more",
  });
}

/** Waits, or returns early when the signal fires. */
function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
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
