/** Requests over HTTP(S): one checked answer a call, with timeouts, retries and redirects; stores build on it. */
import { MoqeError } from "../base/errors.ts";
import { noRetries, type RangePart, type RetryCounts } from "./contract.ts";
import { type HttpAnswer, readBody, type Wanted } from "./http_answer.ts";
import { HttpFailure, refuseStatus } from "./http_failure.ts";
import { type Outgoing, Sender, type SendOptions } from "./http_send.ts";
import { shownUrl } from "./http_url.ts";
import { asFailure, pause, Watchdog } from "./http_watch.ts";

export interface HttpOptions extends SendOptions {
  /** For the answer's head, and again for each silence within its body. */
  readonly timeoutMs?: number;
  /** A body that comes slower than this, after timeoutMs, is given up. */
  readonly leastBytesPerSecond?: number;
  /** Attempts in all. */
  readonly attempts?: number;
  /** The first pause before a retry; it doubles, and a random share of it is waited. */
  readonly retryMs?: number;
  readonly maxRetryMs?: number;
  /** How addresses are shown in messages, where that is not the URL without its query. */
  readonly shown?: ((url: URL) => string) | undefined;
  /**
   * Waits as long as the server asks, up to `mostMs` for one request, and tells `onWait` of each pause; a longer one is a
   * failure at once. Without it 10 s are waited at most, and then it is tried.
   */
  readonly patience?: { readonly mostMs: number; onWait(ms: number): void } | undefined;
}

export interface HttpRead {
  /** The bytes wanted of a whole; without them the whole, up to maxBytes. */
  readonly range?: { readonly offset: number; readonly length: number } | undefined;
  readonly maxBytes?: number | undefined;
  /** Where a range's bytes go: one buffer of its length, or places in the object; else a new array. */
  readonly into?: Uint8Array<ArrayBuffer> | readonly RangePart[] | undefined;
  readonly noCache?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Any other request: small answers only. */
export interface HttpCall {
  readonly method: "HEAD" | "GET" | "PUT" | "POST" | "DELETE";
  readonly body?: Uint8Array<ArrayBuffer> | undefined;
  /** Signed where the client signs. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/** The answer to a call. */
export interface HttpReply {
  readonly headers: Headers;
  readonly text: string;
}

/** A server may ask for a longer pause than this; then we give up sooner than it likes. */
const MAX_RETRY_AFTER_MS = 10_000;
const MAX_REPLY_BYTES = 4 * 2 ** 20;

/** Reads from URLs. Counts its retries. */
export class HttpClient {
  /** Attempts beyond the first, over all calls. */
  readonly retries: RetryCounts = noRetries();
  readonly #timeoutMs: number;
  readonly #leastBytesPerMs: number;
  readonly #attempts: number;
  readonly #retryMs: number;
  readonly #maxRetryMs: number;
  readonly #sender: Sender;
  readonly #shown: (url: URL) => string;
  readonly #patience: HttpOptions["patience"];

  constructor(options: HttpOptions = {}) {
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.#leastBytesPerMs = (options.leastBytesPerSecond ?? 16 * 1024) / 1000;
    this.#attempts = options.attempts ?? 5;
    this.#retryMs = options.retryMs ?? 200;
    this.#maxRetryMs = options.maxRetryMs ?? 5_000;
    this.#sender = new Sender(options);
    this.#shown = options.shown ?? shownUrl;
    this.#patience = options.patience;
  }

  /**
   * @throws MoqeError `unavailable` where retries did not help or there is no such object; `corrupt` for an
   * answer that is not what was asked for; `cancelled` by the signal
   */
  read(url: URL, read: HttpRead): Promise<HttpAnswer> {
    const headers: Record<string, string> = {};
    if (read.noCache) Object.assign(headers, { "cache-control": "no-cache", pragma: "no-cache" });
    if (read.range !== undefined) {
      const { offset, length } = read.range;
      headers.range = `bytes=${offset}-${offset + length - 1}`;
    }
    const wanted: Wanted = { range: read.range, maxBytes: read.maxBytes, into: read.into };
    const bytes = read.range?.length ?? read.maxBytes ?? 0;
    return this.#tries(url, { method: "GET", plain: headers, signal: read.signal, bytes }, {
      action: "read",
      take: (response, onBytes) => readBody(response, wanted, onBytes),
    });
  }

  /** Sends a request that may be repeated without harm. Throws as `read` does. */
  call(url: URL, call: HttpCall): Promise<HttpReply> {
    const { method, body, headers, signal } = call;
    const bytes = (body?.length ?? 0) + MAX_REPLY_BYTES;
    const action = method === "GET" || method === "HEAD" ? "read" : "write";
    return this.#tries(url, { method, body, signed: headers, signal, bytes }, {
      action,
      take: async (response, onBytes) => {
        await refuseStatus(response);
        let text = "";
        const decoder = new TextDecoder();
        for await (const chunk of response.body ?? []) {
          onBytes();
          text += decoder.decode(chunk, { stream: true });
          if (text.length > MAX_REPLY_BYTES) {
            throw new HttpFailure("the answer is too long", undefined, "corrupt");
          }
        }
        return { headers: response.headers, text };
      },
    });
  }

  async #tries<T>(url: URL, request: Attempt, use: Use<T>): Promise<T> {
    let expired = false, waitedMs = 0;
    for (let attempt = 1;; attempt++) {
      try {
        return await this.#once(url, { ...request, expired }, use);
      } catch (error) {
        const where = { action: use.action, shown: this.#shown(url) };
        if (request.signal?.aborted) throw cancelled(where);
        this.#sender.forget(url);
        const failure = asFailure(error);
        // Credentials that have been renewed meanwhile are found by one more try, or there are none.
        const renewed = failure.expired && !expired ? "server" : undefined;
        const retry = failure.retry ?? renewed;
        const ms = this.#pauseMs(attempt, failure.retryAfterMs);
        waitedMs += ms;
        const tooLong = waitedMs > (this.#patience?.mostMs ?? Infinity);
        if (retry === undefined || attempt >= this.#attempts || tooLong) {
          throw giveUp(where, failure, attempt);
        }
        expired = failure.expired;
        this.retries[retry]++;
        if (failure.retryAfterMs !== undefined) this.#patience?.onWait(ms);
        await pause(ms, request.signal);
      }
    }
  }

  /** Full jitter: clients that failed together do not come back together. */
  #pauseMs(attempt: number, retryAfterMs: number | undefined): number {
    const jitter = Math.random() * Math.min(this.#maxRetryMs, this.#retryMs * 2 ** (attempt - 1));
    const most = this.#patience === undefined ? MAX_RETRY_AFTER_MS : Infinity;
    return Math.max(jitter, Math.min(retryAfterMs ?? 0, most));
  }

  async #once<T>(url: URL, request: Attempt & Outgoing, use: Use<T>): Promise<T> {
    const watchdog = new Watchdog(
      this.#timeoutMs,
      this.#timeoutMs + request.bytes / this.#leastBytesPerMs,
      request.signal,
    );
    let response: Response | undefined;
    try {
      response = await this.#sender.send(url, request, watchdog.signal);
      return await use.take(response, () => watchdog.feed());
    } catch (error) {
      if (watchdog.expired !== undefined) throw new HttpFailure(watchdog.expired, "timeout");
      throw error;
    } finally {
      watchdog.stop();
      if (response?.body && !response.body.locked) await response.body.cancel().catch(() => {});
    }
  }
}

/** One request as every attempt sends it; `bytes` is about how many cross the network. */
interface Attempt extends Omit<Outgoing, "expired"> {
  readonly signal: AbortSignal | undefined;
  readonly bytes: number;
}

/** What is made of an answer; `take` may throw HttpFailure. */
interface Use<T> {
  readonly action: string;
  take(response: Response, onBytes: () => void): Promise<T>;
}

interface Where {
  action: string;
  shown: string;
}

function giveUp({ action, shown }: Where, failure: HttpFailure, attempts: number): MoqeError {
  const times = attempts > 1 ? ` (${attempts} attempts)` : "";
  return new MoqeError(failure.code, {
    action: `${action} ${shown}`,
    rule: `${failure.message}${times}`,
    remedy: failure.remedy ??
      (failure.code === "corrupt"
        ? "use a server that answers byte ranges as they are"
        : "check the address and the server"),
    cause: failure,
  });
}

function cancelled({ action, shown }: Where): MoqeError {
  return new MoqeError("cancelled", {
    action: `${action} ${shown}`,
    rule: "nobody waits for it any more",
  });
}
