/** Headers that every answer has: ids to find it in the log by, no sniffing, no framing, and CORS where allowed. */
import type { MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { secureHeaders } from "hono/secure-headers";
import type { HttpEnv } from "./options.ts";

/** What an answer that is no page may load: nothing. A page says what it needs itself. */
const NO_CONTENT = "default-src 'none'; frame-ancestors 'none'";

/** DeepL's clients log X-Trace-ID; it is the request's id under its other name. */
export const traceId: MiddlewareHandler<HttpEnv> = async (c, next) => {
  await next();
  c.res.headers.set("X-Trace-ID", c.get("requestId"));
  if (!c.res.headers.has("Content-Security-Policy")) {
    c.res.headers.set("Content-Security-Policy", NO_CONTENT);
  }
};

/** Hono's set of them, without the ones that only pages need. */
export const secure: MiddlewareHandler<HttpEnv> = secureHeaders({
  xFrameOptions: "DENY",
  referrerPolicy: "no-referrer",
  // Whoever ends TLS decides this for a whole domain; a service behind it must not.
  strictTransportSecurity: false,
});

/**
 * Lets pages of the listed origins call. Without any no CORS header is ever sent; credentials are never allowed,
 * since keys travel in headers that a page sets itself.
 */
export function crossOrigin(origins: readonly string[]): MiddlewareHandler<HttpEnv> {
  if (origins.length === 0) return (_, next) => next();
  const all = origins.includes("*");
  return cors({
    origin: all ? "*" : (origin) => origins.includes(origin) ? origin : undefined,
    allowMethods: ["GET", "POST", "PUT", "PATCH", "DELETE"],
    allowHeaders: ["Authorization", "Content-Type", "X-API-Key", "X-Request-Id"],
    exposeHeaders: ["Retry-After", "X-Request-Id", "X-Trace-ID"],
    maxAge: 600,
  });
}
