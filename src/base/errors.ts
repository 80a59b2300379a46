/** The one error class of moqe: it says what was being done, by which rule it failed, what was seen, and what helps. */

/** Why something failed, as callers branch on it (HTTP status, exit code, retry). */
export type ErrorCode =
  | "bad_input" // the caller's data is wrong: 400, exit 2
  | "too_large" // over a stated limit: 413
  | "unsupported" // a valid thing that moqe does not do
  | "over_budget" // does not fit --gpu-memory or --host-memory
  | "corrupt" // bytes that do not match their hash or their own header
  | "unavailable" // a store or device that does not answer
  | "overloaded" // the queue is full: 503 with Retry-After
  | "expired" // the request's deadline passed: 504
  | "cancelled"
  | "internal";

export interface ErrorParts {
  /** What was being done: "read tensor shared.weight". */
  action: string;
  /** The rule that it broke, or what went wrong. */
  rule: string;
  /** What was received or seen, if that is not plain from the rule. */
  observed?: string | undefined;
  /** What the reader can do about it. */
  remedy?: string | undefined;
  /** Of `over_budget`: the least budget that would do, in MiB, so that of several refusals the one that asks for most is told. */
  leastMiB?: number | undefined;
  cause?: unknown;
}

/** An error with a code and a remedy. Its message reads "cannot ACTION: RULE (got OBSERVED); REMEDY". */
export class MoqeError extends Error {
  readonly code: ErrorCode;
  readonly parts: Readonly<ErrorParts>;
  /** Seconds after which a retry makes sense, for `overloaded` and `unavailable`. */
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, parts: ErrorParts, options: { retryAfterSeconds?: number } = {}) {
    const observed = parts.observed === undefined ? "" : ` (got ${parts.observed})`;
    const remedy = parts.remedy === undefined ? "" : `; ${parts.remedy}`;
    super(`cannot ${parts.action}: ${parts.rule}${observed}${remedy}`, { cause: parts.cause });
    this.name = "MoqeError";
    this.code = code;
    this.parts = parts;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

/** A thrown value as one line of text. */
export function errorText(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  return thrown.message === "fetch failed" ? `fetch failed${connectFault(thrown)}` : thrown.message;
}

/** Why there was no connection; the rest of what Deno says has the address, which may hold secrets. */
function connectFault({ cause }: Error): string {
  const found = cause instanceof Error ? /client error \(\w+\): (.+)$/.exec(cause.message) : null;
  return found === null ? "" : `: ${found[1]}`;
}

/** The error's code, or "internal" for anything that is not a MoqeError. */
export function errorCode(thrown: unknown): ErrorCode {
  if (thrown instanceof MoqeError) return thrown.code;
  if (thrown instanceof DOMException && thrown.name === "AbortError") return "cancelled";
  return "internal";
}
