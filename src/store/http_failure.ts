/** What a server refuses: statuses and error codes as failures, and whether another attempt may succeed. */
import { type ErrorCode, MoqeError } from "../base/errors.ts";
import type { RetryReason } from "./contract.ts";

/** Why an attempt failed, and whether another may succeed. */
export class HttpFailure extends Error {
  /** The server answered that there is no such object. */
  missing = false;
  /** The server answered that we may not ask. */
  forbidden = false;
  /** What the request was signed with is no longer taken: other credentials may be. */
  expired = false;
  /** What the reader can do, where the answer shows it. */
  remedy: string | undefined;
  /** The status that refused, where one did. */
  status: number | undefined;
  /** Why a model hub refused, in its own code: GatedRepo, RevisionNotFound. */
  hubCode: string | undefined;

  /** @param retry why another attempt may succeed; undefined where none will */
  constructor(
    message: string,
    readonly retry: RetryReason | undefined,
    readonly code: ErrorCode = "unavailable",
    readonly retryAfterMs?: number,
  ) {
    super(message);
  }
}

/** Whether an error says that a server has no such object: an answer, not a failure. */
export function isMissing(error: unknown): boolean {
  return error instanceof MoqeError && error.parts.cause instanceof HttpFailure &&
    error.parts.cause.missing;
}

/**
 * Whether an error says that an object is not there, or that we may not know: who may not list a bucket is answered
 * 403 for what it lacks.
 */
export function isMissingOrForbidden(error: unknown): boolean {
  return isMissing(error) || error instanceof MoqeError &&
      error.parts.cause instanceof HttpFailure && error.parts.cause.forbidden;
}

/** Statuses after which another try is worth it. */
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);

/**
 * Throws HttpFailure for every status but success, with the code that S3 servers put into the body and a model hub into
 * a header.
 */
export async function refuseStatus(response: Response): Promise<void> {
  const { status, headers } = response;
  if (status >= 200 && status < 300) return;
  const failure = PASSING.has(status)
    ? passing(status, headers)
    : refused(status, await errorCodeOf(response));
  const hubCode = headers.get("x-error-code") ?? undefined;
  throw Object.assign(failure, { status, hubCode });
}

function passing(status: number, headers: Headers): HttpFailure {
  const reason = status === 429 || status === 503 ? "throttled" : "server";
  return new HttpFailure(`the server says ${status}`, reason, "unavailable", retryAfterMs(headers));
}

/** The failure of a status that another try does not change; `said` is the server's own code for it, or "". */
function refused(status: number, said: string): HttpFailure {
  if (EXPIRED.has(said)) {
    const failure = new HttpFailure(`the server refuses access (${status}${said})`, undefined);
    return Object.assign(failure, { forbidden: true, expired: true, remedy: KEYS });
  }
  if (status === 404 || status === 410) {
    if (said === ": NoSuchBucket") {
      const failure = new HttpFailure(`there is no such bucket${said}`, undefined);
      const remedy = "make the bucket first, or check its name, the endpoint and the region";
      return Object.assign(failure, { remedy });
    }
    const failure = new HttpFailure(`there is no such object${said}`, undefined);
    return Object.assign(failure, { missing: true });
  }
  if (status === 401 || status === 403) {
    const failure = new HttpFailure(`the server refuses access (${status}${said})`, undefined);
    return Object.assign(failure, { forbidden: true, remedy: said === "" ? undefined : KEYS });
  }
  // S3 gave up waiting for the request's own bytes.
  if (said === ": RequestTimeout") {
    return new HttpFailure("the server says 400: RequestTimeout", "timeout");
  }
  if (status === 416) {
    return new HttpFailure("the range lies beyond the object's end (416)", undefined, "corrupt");
  }
  return new HttpFailure(`the server says ${status}${said}`, undefined);
}

/**
 * Milliseconds until the server answers again: Retry-After, a number of seconds or a date, or where that is missing the
 * seconds until an exhausted RateLimit begins anew (`"api";r=0;t=55`).
 */
function retryAfterMs(headers: Headers): number | undefined {
  const limit = /;\s*r=0;\s*t=(\d+)/.exec(headers.get("ratelimit") ?? "")?.[1];
  const header = headers.get("retry-after") ?? limit;
  if (header === undefined) return undefined;
  const seconds = Number(header);
  const ms = Number.isNaN(seconds) ? Date.parse(header) - Date.now() : seconds * 1000;
  return ms >= 0 ? ms : undefined;
}

/** S3 says why it refuses; other servers only that they do. */
const KEYS = "check the keys (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE), what " +
  "they allow, the region and the endpoint";

/** Of credentials that were right once: S3 says so with 400 or 403. */
const EXPIRED = new Set([": ExpiredToken", ": InvalidAccessKeyId"]);

/** What an error's body may hold before we stop reading. */
const MAX_ERROR_BYTES = 8192;

/** ": SignatureDoesNotMatch" from an S3 error's XML; only its code, since messages may repeat what was sent. */
async function errorCodeOf(response: Response): Promise<string> {
  if (!/xml/.test(response.headers.get("content-type") ?? "")) return "";
  let text = "";
  try {
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      if (text.length > MAX_ERROR_BYTES) break;
    }
  } catch {
    return "";
  }
  const code = /<Code>([A-Za-z]{1,60})<\/Code>/.exec(text)?.[1];
  return code === undefined ? "" : `: ${code}`;
}
