/** Routes for whoever runs the service: numbers, never texts. On their own port, behind a key, or open. */
import { Hono } from "hono";
import type { Engine } from "../engine/protocol.ts";
import { admit } from "./access/admit.ts";
import { cacheRoutes } from "./cache/routes.ts";
import { type HttpMetrics, metricRoutes } from "./metrics.ts";
import type { HttpEnv, HttpOptions } from "./options.ts";

/** The routes, behind a key of scope `admin` where the options say so. */
export function adminRoutes(
  engine: Engine,
  options: HttpOptions,
  metrics: HttpMetrics,
): Hono<HttpEnv> {
  const routes = new Hono<HttpEnv>();
  if (options.admin === "key") {
    for (const path of ["/metrics", "/cache/stats"]) routes.use(path, admit(options, "admin"));
  }
  return routes
    .route("/", metricRoutes(engine, options, metrics))
    .route("/", cacheRoutes(engine));
}
