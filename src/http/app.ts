/** The HTTP application: composition only. */
import { Hono } from "hono";
import { requestId } from "hono/request-id";
import type { Engine } from "../engine/protocol.ts";
import { adminRoutes } from "./admin.ts";
import { deeplRoutes } from "./deepl/routes.ts";
import { handleError, notFound, refuseOtherMethods } from "./errors.ts";
import { crossOrigin, secure, traceId } from "./headers.ts";
import { libreRoutes } from "./libre/routes.ts";
import { HttpMetrics } from "./metrics.ts";
import { observe } from "./observe.ts";
import { openApiRoutes } from "./openapi/routes.ts";
import type { HttpEnv, HttpOptions } from "./options.ts";
import { pageRoutes } from "./page/routes.ts";
import { probeRoutes } from "./ready.ts";

/**
 * An application that answers for an engine. It owns neither the engine nor a socket: tests call
 * `app.request()`, `serve` gives `app.fetch` to a server.
 */
export function createApp(
  engine: Engine,
  options: HttpOptions,
  metrics: HttpMetrics = new HttpMetrics(),
): Hono<HttpEnv> {
  const app = surroundings(options, metrics)
    .use(crossOrigin(options.corsOrigins))
    .route("/", libreRoutes(engine, options))
    .route("/", deeplRoutes(engine, options))
    .route("/", probeRoutes(engine, options))
    .route("/", openApiRoutes())
    .route("/", pageRoutes());
  if (options.admin !== "apart") app.route("/", adminRoutes(engine, options, metrics));
  return refuseOtherMethods(app);
}

/** What listens on the port of its own, for those who run the service. */
export function createAdminApp(
  engine: Engine,
  options: HttpOptions,
  metrics: HttpMetrics,
): Hono<HttpEnv> {
  const app = surroundings(options, metrics)
    .route("/", probeRoutes(engine, options))
    .route("/", adminRoutes(engine, options, metrics));
  return refuseOtherMethods(app);
}

/** What is around every request of either. */
function surroundings(options: HttpOptions, metrics: HttpMetrics): Hono<HttpEnv> {
  return new Hono<HttpEnv>()
    .use(requestId(), observe(options.log, metrics), traceId, secure)
    .notFound(notFound)
    .onError(handleError(options.log));
}
