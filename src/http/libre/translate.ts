/** POST /translate in LibreTranslate's shape. */
import { type Context, Hono } from "hono";
import type { Engine, Translation } from "../../engine/protocol.ts";
import { doors } from "../doors.ts";
import { methodNotAllowed } from "../errors.ts";
import { resolvePair } from "../languages.ts";
import type { HttpEnv, HttpOptions } from "../options.ts";
import { loadedModel } from "../ready.ts";
import { searchParams, translateFor } from "../texts.ts";
import { readTranslateInput, type TranslateInput } from "./translate_input.ts";

/** The route behind its doors. */
export function translateRoutes(engine: Engine, options: HttpOptions): Hono<HttpEnv> {
  return new Hono<HttpEnv>()
    .post("/translate", ...doors(options, "translate"), (c) => translate(c, engine, options))
    .all("/translate", methodNotAllowed("POST"));
}

async function translate(
  c: Context<HttpEnv>,
  engine: Engine,
  options: HttpOptions,
): Promise<Response> {
  const info = loadedModel(engine);
  const input = readTranslateInput(c.get("fields"), options.limits);
  const pair = resolvePair({ source: input.source ?? "auto", target: input.target }, info);
  const translations = await translateFor(c, engine, options, {
    texts: input.texts,
    ...pair,
    ...searchParams(input, info, options),
  });
  return c.json(answer(input, translations));
}

/** An array for a batch, a string for one text; alternatives only where they were asked for. */
function answer(input: TranslateInput, translations: Translation[]): Record<string, unknown> {
  const texts = translations.map((t) => t.text);
  const body: Record<string, unknown> = { translatedText: input.batch ? texts : texts[0] };
  if (input.alternatives > 0) {
    const others = translations.map((t) => t.alternatives);
    body["alternatives"] = input.batch ? others : others[0];
  }
  return body;
}
