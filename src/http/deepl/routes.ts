/** DeepL's API v2: composition only. */
import { Hono } from "hono";
import type { Engine } from "../../engine/protocol.ts";
import type { HttpEnv, HttpOptions } from "../options.ts";
import { accountRoutes } from "./account.ts";
import { documentRoutes } from "./documents.ts";
import { glossaryRoutes } from "./glossaries.ts";
import { translateRoutes } from "./translate.ts";

/** Every route of DeepL's clients that makes sense here. */
export function deeplRoutes(engine: Engine, options: HttpOptions): Hono<HttpEnv> {
  return new Hono<HttpEnv>()
    .route("/", translateRoutes(engine, options))
    .route("/", accountRoutes(engine, options))
    .route("/", documentRoutes(engine, options))
    .route("/", glossaryRoutes(engine, options));
}
