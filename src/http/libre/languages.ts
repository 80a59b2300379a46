/** GET /languages and /frontend/settings in LibreTranslate's shape: only what the model was trained for. */
import { Hono } from "hono";
import type { Engine } from "../../engine/protocol.ts";
import { FILE_FORMATS } from "../documents/submit.ts";
import { describeLanguage, listLanguages } from "../languages.ts";
import type { HttpEnv, HttpOptions } from "../options.ts";
import { loadedModel } from "../ready.ts";

/** Milliseconds that a page waits after the last key before it asks; LibreTranslate's own value. */
const FRONTEND_TIMEOUT_MS = 500;

/** The routes; they need no key, as LibreTranslate's do not. */
export function languageRoutes(engine: Engine, options: HttpOptions): Hono<HttpEnv> {
  return new Hono<HttpEnv>()
    .get("/languages", (c) => c.json(listLanguages(loadedModel(engine))))
    .get("/frontend/settings", (c) => {
      const { source, target } = loadedModel(engine).pairs[0]!;
      return c.json({
        apiKeys: options.access.keyRequired,
        charLimit: options.limits.maxChars,
        filesTranslation: true,
        frontendTimeout: FRONTEND_TIMEOUT_MS,
        keyRequired: options.access.keyRequired,
        language: { source: describeLanguage(source), target: describeLanguage(target) },
        suggestions: false,
        supportedFilesFormat: FILE_FORMATS,
      });
    });
}
