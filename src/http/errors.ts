/** Every failure as a response of one shape: {"error": "..."} with the right status, and no stack trace. */
import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { type ErrorCode, errorText, MoqeError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { HttpEnv } from "./options.ts";

/** What nginx calls "client closed request": nobody reads it, but logs and metrics count it. */
export const CLIENT_CLOSED = 499;

const STATUS: Record<ErrorCode, number> = {
  bad_input: 400,
  unsupported: 400,
  too_large: 413,
  overloaded: 503,
  unavailable: 503,
  over_budget: 503,
  cancelled: CLIENT_CLOSED,
  corrupt: 500,
  internal: 500,
};

/** Seconds after which a refused client may try again, where the error itself does not say. */
const DEFAULT_RETRY_SECONDS = 2;

/** A request that breaks a rule of the wire format. Its message is sent as it is, in LibreTranslate's words. */
export class RequestError extends Error {
  constructor(readonly status: 400 | 413 | 415, message: string) {
    super(message);
    this.name = "RequestError";
  }
}

/** Answers with an error in the shape that all routes share. */
export function errorResponse(c: Context<HttpEnv>, status: number, message: string): Response {
  return c.json({ error: message }, status as ContentfulStatusCode);
}

/** Hono's error handler: maps what was thrown, logs what is ours to repair. */
export function handleError(log: Logger): (thrown: Error, c: Context<HttpEnv>) => Response {
  return (thrown, c) => {
    if (thrown instanceof RequestError) return errorResponse(c, thrown.status, thrown.message);
    if (thrown instanceof HTTPException) return errorResponse(c, thrown.status, thrown.message);
    // A client that goes away while its body is being read fails that read with an error of any kind.
    if (c.req.raw.signal.aborted) return new Response(null, { status: CLIENT_CLOSED });
    if (!(thrown instanceof MoqeError)) return internal(log, thrown, c);
    const status = STATUS[thrown.code];
    if (status === CLIENT_CLOSED) return new Response(null, { status });
    if (status === 500) return internal(log, thrown, c);
    if (status === 503) {
      const seconds = thrown.retryAfterSeconds ?? DEFAULT_RETRY_SECONDS;
      c.header("Retry-After", String(Math.max(1, Math.ceil(seconds))));
    }
    return errorResponse(c, status, thrown.message);
  };
}

/** 500 with the id under which the log has the reason; the reason itself stays here. */
function internal(log: Logger, thrown: unknown, c: Context<HttpEnv>): Response {
  const id = c.get("requestId");
  const stack = thrown instanceof Error ? thrown.stack : undefined;
  log.error("request failed", { requestId: id, error: errorText(thrown), stack });
  return errorResponse(c, 500, `internal error; the log has it under request ${id}`);
}

/** 404 in the shape of every other error. */
export function notFound(c: Context<HttpEnv>): Response {
  return errorResponse(
    c,
    404,
    "not found: see POST /translate, GET /languages, /health, /ready, /metrics",
  );
}

/** 405 with the methods that the path does have. */
export function methodNotAllowed(allow: string): (c: Context<HttpEnv>) => Response {
  return (c) => {
    c.header("Allow", allow);
    return errorResponse(c, 405, `method not allowed: this path answers ${allow}`);
  };
}
