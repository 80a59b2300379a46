/**
 * Every failure as a response with the right status and no stack trace: {"error": "..."} as LibreTranslate has it,
 * {"message": "..."} under /v2 and /v3 as DeepL has it.
 */
import type { Context, Hono } from "hono";
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
  expired: 504,
  cancelled: CLIENT_CLOSED,
  corrupt: 500,
  internal: 500,
};

/** Seconds after which a refused client may try again, where the error itself does not say. */
const DEFAULT_RETRY_SECONDS = 2;

/** What a RequestError may say besides its message. */
export interface RefusalExtras {
  /** Seconds after which a retry makes sense. */
  retryAfterSeconds?: number;
  /** Further fields of the body: what would have been right. */
  fields?: Record<string, unknown>;
}

/** A request that breaks a rule of the service. Its message is sent as it is, in the words of the API it is of. */
export class RequestError extends Error {
  constructor(
    readonly status: 400 | 403 | 404 | 408 | 409 | 413 | 415 | 429 | 456 | 503,
    message: string,
    readonly extras: RefusalExtras = {},
  ) {
    super(message);
    this.name = "RequestError";
  }
}

/** True for DeepL's routes, whose errors have another shape. */
function isDeepl(c: Context<HttpEnv>): boolean {
  return /^\/v[23]\//.test(c.req.path);
}

/** Answers with an error in the shape that the route's clients read. */
export function errorResponse(
  c: Context<HttpEnv>,
  status: number,
  message: string,
  fields: Record<string, unknown> = {},
): Response {
  const body = isDeepl(c) ? { message, ...fields } : { error: message, ...fields };
  return c.json(body, status as ContentfulStatusCode);
}

/** Hono's error handler: maps what was thrown, logs what is ours to repair. */
export function handleError(log: Logger): (thrown: Error, c: Context<HttpEnv>) => Response {
  return (thrown, c) => {
    if (thrown instanceof RequestError) return refusal(thrown, c);
    if (thrown instanceof HTTPException) return errorResponse(c, thrown.status, thrown.message);
    // A client that goes away while its body is being read fails that read with an error of any kind.
    if (c.req.raw.signal.aborted) return new Response(null, { status: CLIENT_CLOSED });
    if (!(thrown instanceof MoqeError)) return internal(log, thrown, c);
    const status = statusOf(thrown, c);
    if (status === CLIENT_CLOSED) return new Response(null, { status });
    if (status === 500) return internal(log, thrown, c);
    if (status === 503) retryAfter(c, thrown.retryAfterSeconds ?? DEFAULT_RETRY_SECONDS);
    return errorResponse(c, status, thrown.message);
  };
}

/** The status that a request to this route ends with when something was thrown; 500 for what is ours to repair. */
export function statusOf(thrown: unknown, c: Context<HttpEnv>): number {
  if (thrown instanceof MoqeError) return STATUS[thrown.code];
  if (!(thrown instanceof RequestError)) return 500;
  // 456 is DeepL's own; elsewhere a used-up quota is "too many requests", with the time until it is new.
  return thrown.status === 456 && !isDeepl(c) ? 429 : thrown.status;
}

function refusal(thrown: RequestError, c: Context<HttpEnv>): Response {
  const { retryAfterSeconds, fields } = thrown.extras;
  if (retryAfterSeconds !== undefined) retryAfter(c, retryAfterSeconds);
  return errorResponse(c, statusOf(thrown, c), thrown.message, fields);
}

function retryAfter(c: Context<HttpEnv>, seconds: number): void {
  c.header("Retry-After", String(Math.max(1, Math.ceil(seconds))));
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
    "not found: GET /openapi.json lists every route",
  );
}

/** Answers 405, with the methods that it has, on each path of the application; to be called after its last route. */
export function refuseOtherMethods(app: Hono<HttpEnv>): Hono<HttpEnv> {
  const routes = app.routes.filter(({ method }) => method !== "ALL");
  for (const [path, same] of Map.groupBy(routes, (route) => route.path)) {
    const allow = [...new Set(same.map((route) => route.method))].join(", ");
    app.all(path, (c) => {
      c.header("Allow", allow);
      return errorResponse(c, 405, `method not allowed: this path answers ${allow}`);
    });
  }
  return app;
}
