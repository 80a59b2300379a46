/** Requests over HTTP(S): one checked answer a call, with timeouts, retries and redirects; stores build on it. */
import { MoqeError } from "../base/errors.ts";
import { noRetries, type RangePart, type RetryCounts } from "./contract.ts";
import {
  type HttpAnswer,
  HttpFailure,
  readBody,
  refuseStatus,
  type Wanted,
} from "./http_answer.ts";
import { followable, shownUrl, splitCredentials } from "./http_url.ts";
import { asFailure, pause, Watchdog } from "./http_watch.ts";

export interface HttpOptions {
  /** For the answer's head, and again for each silence within its body. */
  readonly timeoutMs?: number;
  /** A body that comes slower than this, after timeoutMs, is given up. */
  readonly leastBytesPerSecond?: number;
  /** Attempts in all. */
  readonly attempts?: number;
  /** The first pause before a retry; it doubles, and a random share of it is waited. */
  readonly retryMs?: number;
  readonly maxRetryMs?: number;
  /** Signs each attempt anew; a signed request follows no redirect. */
  readonly sign?: Sign | undefined;
  /** How addresses are shown in messages, where that is not the URL without its query. */
  readonly shown?: ((url: URL) => string) | undefined;
}

/**
 * Headers to add to a request so that the server takes it; `headers` are those to be signed. `expired`: the server
 * refused what the attempt before was signed with.
 */
export type Sign = (
  request: { method: string; url: URL; headers: Headers; expired?: boolean },
) => Promise<Headers>;

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

const MAX_REDIRECTS = 5;
/** A server may ask for a longer pause than this; then we give up sooner than it likes. */
const MAX_RETRY_AFTER_MS = 10_000;
const MAX_REPLY_BYTES = 4 * 2 ** 20;

/** Reads from URLs. Counts its retries. Holds no state of a connection. */
export class HttpClient {
  /** Attempts beyond the first, over all calls. */
  readonly retries: RetryCounts = noRetries();
  readonly #timeoutMs: number;
  readonly #leastBytesPerMs: number;
  readonly #attempts: number;
  readonly #retryMs: number;
  readonly #maxRetryMs: number;
  readonly #sign: Sign | undefined;
  readonly #shown: (url: URL) => string;

  constructor(options: HttpOptions = {}) {
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.#leastBytesPerMs = (options.leastBytesPerSecond ?? 16 * 1024) / 1000;
    this.#attempts = options.attempts ?? 5;
    this.#retryMs = options.retryMs ?? 200;
    this.#maxRetryMs = options.maxRetryMs ?? 5_000;
    this.#sign = options.sign;
    this.#shown = options.shown ?? shownUrl;
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
    let expired = false;
    for (let attempt = 1;; attempt++) {
      try {
        return await this.#once(url, { ...request, expired }, use);
      } catch (error) {
        const where = { action: use.action, shown: this.#shown(url) };
        if (request.signal?.aborted) throw cancelled(where);
        const failure = asFailure(error);
        // Credentials that have been renewed meanwhile are found by one more try, or there are none.
        const renewed = failure.expired && !expired ? "server" : undefined;
        const retry = failure.retry ?? renewed;
        if (retry === undefined || attempt >= this.#attempts) {
          throw giveUp(where, failure, attempt);
        }
        expired = failure.expired;
        this.retries[retry]++;
        await pause(this.#pauseMs(attempt, failure.retryAfterMs), request.signal);
      }
    }
  }

  /** Full jitter: clients that failed together do not come back together. */
  #pauseMs(attempt: number, retryAfterMs: number | undefined): number {
    const jitter = Math.random() * Math.min(this.#maxRetryMs, this.#retryMs * 2 ** (attempt - 1));
    return Math.max(jitter, Math.min(retryAfterMs ?? 0, MAX_RETRY_AFTER_MS));
  }

  async #once<T>(url: URL, request: Attempt & Expired, use: Use<T>): Promise<T> {
    const watchdog = new Watchdog(
      this.#timeoutMs,
      this.#timeoutMs + request.bytes / this.#leastBytesPerMs,
      request.signal,
    );
    let response: Response | undefined;
    try {
      response = await this.#send(url, request, watchdog.signal);
      return await use.take(response, () => watchdog.feed());
    } catch (error) {
      if (watchdog.expired !== undefined) throw new HttpFailure(watchdog.expired, "timeout");
      throw error;
    } finally {
      watchdog.stop();
      if (response?.body && !response.body.locked) await response.body.cancel().catch(() => {});
    }
  }

  /** Sends a request and follows safe redirects, without credentials to another origin. */
  async #send(start: URL, request: Attempt & Expired, signal: AbortSignal): Promise<Response> {
    let { url, authorization } = splitCredentials(start);
    const { method, body, expired } = request;
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const signed = new Headers(request.signed);
      const headers = this.#sign === undefined
        ? signed
        : await this.#sign({ method, url, headers: signed, expired });
      // identity: a compressed body's ranges are not the object's.
      headers.set("accept-encoding", "identity");
      for (const [name, value] of Object.entries(request.plain ?? {})) headers.set(name, value);
      if (authorization !== undefined) headers.set("authorization", authorization);
      const response = await fetch(url, {
        method,
        headers,
        signal,
        redirect: "manual",
        ...(body === undefined ? {} : { body }),
      });
      if (![301, 302, 303, 307, 308].includes(response.status)) return response;
      await response.body?.cancel();
      if (this.#sign !== undefined) throw elsewhere(response);
      const next = followable(url, response.headers.get("location"));
      if (typeof next === "string") throw new HttpFailure(next, undefined, "corrupt");
      if (next.origin !== url.origin) authorization = undefined;
      url = next;
    }
    throw new HttpFailure(`more than ${MAX_REDIRECTS} redirects`, undefined, "corrupt");
  }
}

/** One request as every attempt sends it; `bytes` is about how many cross the network. */
interface Attempt {
  readonly method: HttpCall["method"];
  readonly body?: Uint8Array<ArrayBuffer> | undefined;
  readonly signed?: Readonly<Record<string, string>> | undefined;
  readonly plain?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal | undefined;
  readonly bytes: number;
}

/** Whether the attempt before was refused for its credentials. */
interface Expired {
  readonly expired: boolean;
}

/** What is made of an answer; `take` may throw HttpFailure. */
interface Use<T> {
  readonly action: string;
  take(response: Response, onBytes: () => void): Promise<T>;
}

/** S3 redirects to the bucket's own region, which a signature for another does not open. */
function elsewhere(response: Response): HttpFailure {
  const region = response.headers.get("x-amz-bucket-region");
  const named = region !== null && /^[a-z0-9-]{1,40}$/.test(region) ? ` ${region}` : "";
  return new HttpFailure(
    `the bucket is in another region${named}: say so with AWS_REGION or ?region=`,
    undefined,
  );
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
