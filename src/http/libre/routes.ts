/** LibreTranslate's API: composition only. */
import { Hono } from "hono";
import type { Engine } from "../../engine/protocol.ts";
import type { HttpEnv, HttpOptions } from "../options.ts";
import { detectRoutes } from "./detect.ts";
import { fileRoutes } from "./files.ts";
import { languageRoutes } from "./languages.ts";
import { serviceRoutes } from "./service.ts";
import { translateRoutes } from "./translate.ts";

/** Every route that LibreTranslate's clients use. */
export function libreRoutes(engine: Engine, options: HttpOptions): Hono<HttpEnv> {
  return new Hono<HttpEnv>()
    .route("/", translateRoutes(engine, options))
    .route("/", detectRoutes(engine, options))
    .route("/", fileRoutes(engine, options))
    .route("/", languageRoutes(engine, options))
    .route("/", serviceRoutes(engine, options));
}
