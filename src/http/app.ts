/** The HTTP application: composition only. */
import { Hono } from "hono";
import { requestId } from "hono/request-id";
import { secureHeaders } from "hono/secure-headers";
import type { Engine } from "../engine/protocol.ts";
import { handleError, notFound } from "./errors.ts";
import { languageRoutes } from "./languages.ts";
import { HttpMetrics, metricRoutes } from "./metrics.ts";
import { observe } from "./observe.ts";
import type { HttpEnv, HttpOptions } from "./options.ts";
import { probeRoutes } from "./ready.ts";
import { translateRoutes } from "./translate.ts";

/**
 * An application that answers for an engine. It owns neither the engine nor a socket: tests call
 * `app.request()`, `serve` gives `app.fetch` to Deno. CORS stays off: no route sends its headers.
 */
export function createApp(engine: Engine, options: HttpOptions): Hono<HttpEnv> {
  const metrics = new HttpMetrics();
  return new Hono<HttpEnv>()
    .use(requestId(), observe(options.log, metrics), secureHeaders())
    .route("/", translateRoutes(engine, options))
    .route("/", languageRoutes(engine))
    .route("/", probeRoutes(engine, options))
    .route("/", metricRoutes(engine, options, metrics))
    .notFound(notFound)
    .onError(handleError(options.log));
}
