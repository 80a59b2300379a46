/** Around every request: an id, a log line and the counters. None of them ever holds the text or its address. */
import type { MiddlewareHandler } from "hono";
import { routePath } from "hono/route";
import type { Logger } from "../base/log.ts";
import type { HttpMetrics } from "./metrics.ts";
import type { HttpEnv } from "./options.ts";

/** Routes that probes call all the time; they are logged at debug level. */
const PROBES = new Set(["/live", "/ready", "/health", "/metrics"]);

/** Counts, times and logs each request by its route's pattern. */
export function observe(log: Logger, metrics: HttpMetrics): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    const start = performance.now();
    c.set("facts", {});
    await next();
    // The pattern, never the path: a path or a query string may hold what a user wrote.
    const pattern = routePath(c, -1);
    const route = pattern.includes("*") ? "unmatched" : pattern;
    const seconds = (performance.now() - start) / 1000;
    metrics.finished(route, c.res.status, seconds);
    const span = c.env?.span;
    span?.updateName(`${c.req.method} ${route}`);
    span?.setAttributes({ "http.route": route, "moqe.request_id": c.get("requestId") });
    const write = PROBES.has(route) ? log.debug : log.info;
    write("request", {
      requestId: c.get("requestId"),
      method: c.req.method,
      route,
      status: c.res.status,
      ms: Math.round(seconds * 1000),
      ...c.get("facts"),
    });
  };
}
