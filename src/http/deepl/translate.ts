/** POST /v2/translate in DeepL's shape. */
import { type Context, Hono } from "hono";
import type { Engine } from "../../engine/protocol.ts";
import { doors } from "../doors.ts";
import { methodNotAllowed, RequestError } from "../errors.ts";
import { isTrained } from "../languages.ts";
import type { HttpEnv, HttpOptions } from "../options.ts";
import { loadedModel } from "../ready.ts";
import { codePoints, searchParams, translateFor } from "../texts.ts";
import { deeplCode, deeplCodes, readLanguage } from "./codes.ts";
import { readDeeplTranslate } from "./translate_input.ts";

/** The route behind its doors. */
export function translateRoutes(engine: Engine, options: HttpOptions): Hono<HttpEnv> {
  return new Hono<HttpEnv>()
    .post("/v2/translate", ...doors(options, "translate"), (c) => translate(c, engine, options))
    .all("/v2/translate", methodNotAllowed("POST"));
}

async function translate(
  c: Context<HttpEnv>,
  engine: Engine,
  options: HttpOptions,
): Promise<Response> {
  const info = loadedModel(engine);
  const input = readDeeplTranslate(c.get("fields"), options.limits);
  const target = readLanguage(input.target_lang, "target", info);
  const source = readLanguage(input.source_lang, "source", info);
  if (!isTrained({ source, target }, info)) {
    const targets = info.pairs.filter((p) => p.source === source).map((p) => deeplCode(p.target));
    throw new RequestError(
      400,
      `Value for 'target_lang' not supported with 'source_lang' ${deeplCode(source)}: supported ` +
        `${targets.length > 0 ? targets.join(", ") : `sources are ${deeplCodes(info, "source")}`}.`,
    );
  }
  const fast = input.model_type === "latency_optimized";
  const translations = await translateFor(c, engine, options, {
    texts: input.text,
    source,
    target,
    ...searchParams(fast ? { beams: 1 } : {}, info, options),
  });
  return c.json({
    translations: translations.map((t, i) => ({
      detected_source_language: deeplCode(source),
      text: t.text,
      ...(input.show_billed_characters ? { billed_characters: codePoints(input.text[i]!) } : {}),
      ...(input.model_type === undefined
        ? {}
        : { model_type_used: fast ? "latency_optimized" : "quality_optimized" }),
    })),
  });
}
