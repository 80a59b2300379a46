/** GET /v2/languages and /v2/usage. */
import { type Context, Hono } from "hono";
import type { Engine } from "../../engine/protocol.ts";
import { quickDoors } from "../doors.ts";
import { RequestError } from "../errors.ts";
import { textField } from "../fields.ts";
import type { HttpEnv, HttpOptions } from "../options.ts";
import { loadedModel } from "../ready.ts";
import { deeplLanguages } from "./codes.ts";

/** Shown where a key has no quota: DeepL's clients want a number, and this is the one that DeepL itself shows. */
const NO_LIMIT = 1_000_000_000_000;

/** The routes. Older clients POST to them. */
export function accountRoutes(engine: Engine, options: HttpOptions): Hono<HttpEnv> {
  const key = quickDoors(options, "translate");
  return new Hono<HttpEnv>()
    .on(["GET", "POST"], "/v2/languages", ...key, (c) => languages(c, engine))
    .on(["GET", "POST"], "/v2/usage", ...key, (c) => {
      const { count, limit = NO_LIMIT } = options.access.usage(c.get("client"));
      return c.json({ character_count: count, character_limit: limit });
    });
}

function languages(c: Context<HttpEnv>, engine: Engine): Response {
  const type = textField(c.get("fields"), "type") ?? "source";
  if (type !== "source" && type !== "target") {
    throw new RequestError(400, "Value for 'type' not supported: it must be source or target.");
  }
  return c.json(
    deeplLanguages(loadedModel(engine), type).map(({ code, name }) => ({
      language: code,
      name,
      // Only targets have it; no model here knows formal from informal.
      ...(type === "target" ? { supports_formality: false } : {}),
    })),
  );
}
