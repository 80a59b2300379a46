/** GET /health and POST /suggest in LibreTranslate's shape. */
import { Hono } from "hono";
import type { Engine } from "../../engine/protocol.ts";
import { RequestError } from "../errors.ts";
import type { HttpEnv, HttpOptions } from "../options.ts";
import { loadedModel } from "../ready.ts";

/**
 * The routes. LibreTranslate listens only once its models are loaded, so for its clients "ok" means that they answer:
 * until then, and while shutting down, /health is a 503. /suggest is refused as by a LibreTranslate that collects none.
 */
export function serviceRoutes(engine: Engine, options: HttpOptions): Hono<HttpEnv> {
  return new Hono<HttpEnv>()
    .get("/health", (c) => {
      options.gate.check();
      loadedModel(engine);
      return c.json({ status: "ok" });
    })
    .post("/suggest", () => {
      throw new RequestError(
        403,
        "This server takes no suggestions: no model here learns from them",
      );
    });
}
