/** One HTTP request on its way: credentials to their own server alone, and redirects no further than is safe. */
import { HttpFailure } from "./http_failure.ts";
import { followable, splitCredentials } from "./http_url.ts";

const MAX_REDIRECTS = 5;

/**
 * Headers to add to a request so that the server takes it; `headers` are those to be signed. `expired`: the server
 * refused what the attempt before was signed with.
 */
export type Sign = (
  request: { method: string; url: URL; headers: Headers; expired?: boolean },
) => Promise<Headers>;

export interface SendOptions {
  /** Signs each attempt anew; a signed request follows no redirect. */
  readonly sign?: Sign | undefined;
  /** A token for one origin, which no other server sees, wherever requests are redirected to. */
  readonly bearer?: { readonly token: string; readonly origin: string } | undefined;
  /**
   * Where a redirect led is asked directly the next time, until that address is refused: a hub's answers name signed
   * addresses that serve many ranges.
   */
  readonly keepRedirects?: boolean | undefined;
  /** What is wrong with the headers of a good answer, or of a redirect, of the address's own origin. */
  readonly faultOf?: ((url: URL, headers: Headers) => HttpFailure | undefined) | undefined;
}

/** A request as it is sent. */
export interface Outgoing {
  readonly method: "HEAD" | "GET" | "PUT" | "POST" | "DELETE";
  readonly body?: Uint8Array<ArrayBuffer> | undefined;
  /** Headers that are signed where requests are. */
  readonly signed?: Readonly<Record<string, string>> | undefined;
  readonly plain?: Readonly<Record<string, string>>;
  /** Whether the attempt before was refused for its credentials. */
  readonly expired: boolean;
}

/** Sends requests. Holds the addresses that redirects led to, which may be secrets: they are never shown. */
export class Sender {
  readonly #kept = new Map<string, URL>();

  constructor(readonly options: SendOptions) {}

  /** The answer at the end of all redirects, whatever its status. Throws HttpFailure, or what fetch throws. */
  async send(start: URL, request: Outgoing, signal: AbortSignal): Promise<Response> {
    const kept = this.#kept.get(start.href);
    if (kept !== undefined) {
      const response = await this.#fetch(kept, this.#token(kept), request, signal);
      if (response.ok) return response;
      await response.body?.cancel();
      this.#kept.delete(start.href);
    }
    return await this.#follow(start, request, signal);
  }

  /** What an address was redirected to is asked for anew. */
  forget(start: URL): void {
    this.#kept.delete(start.href);
  }

  /** Follows safe redirects, without credentials to another origin. */
  async #follow(start: URL, request: Outgoing, signal: AbortSignal): Promise<Response> {
    let { url, authorization = this.#token(start) } = splitCredentials(start);
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const response = await this.#fetch(url, authorization, request, signal);
      const own = response.status < 400 && url.origin === start.origin;
      const fault = own ? this.options.faultOf?.(start, response.headers) : undefined;
      if (fault !== undefined) {
        await response.body?.cancel();
        throw fault;
      }
      if (![301, 302, 303, 307, 308].includes(response.status)) {
        if (hop > 0 && response.ok && this.options.keepRedirects) this.#kept.set(start.href, url);
        return response;
      }
      await response.body?.cancel();
      if (this.options.sign !== undefined) throw elsewhere(response);
      const next = followable(url, response.headers.get("location"));
      if (typeof next === "string") throw new HttpFailure(next, undefined, "corrupt");
      if (next.origin !== url.origin) authorization = undefined;
      url = next;
    }
    throw new HttpFailure(`more than ${MAX_REDIRECTS} redirects`, undefined, "corrupt");
  }

  #token(url: URL): string | undefined {
    const { bearer } = this.options;
    return bearer?.origin === url.origin ? `Bearer ${bearer.token}` : undefined;
  }

  async #fetch(
    url: URL,
    authorization: string | undefined,
    request: Outgoing,
    signal: AbortSignal,
  ): Promise<Response> {
    const { method, body, expired } = request, { sign } = this.options;
    const signed = new Headers(request.signed);
    const headers = sign === undefined
      ? signed
      : await sign({ method, url, headers: signed, expired });
    // identity: a compressed body's ranges are not the object's.
    headers.set("accept-encoding", "identity");
    for (const [name, value] of Object.entries(request.plain ?? {})) headers.set(name, value);
    if (authorization !== undefined) headers.set("authorization", authorization);
    return await fetch(url, {
      method,
      headers,
      signal,
      redirect: "manual",
      ...(body === undefined ? {} : { body }),
    });
  }
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
