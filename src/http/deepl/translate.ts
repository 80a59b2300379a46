/** POST /v2/translate in DeepL's shape. */
import { type Context, Hono } from "hono";
import type { Engine, ModelInfo } from "../../engine/protocol.ts";
import { doors } from "../doors.ts";
import { RequestError } from "../errors.ts";
import { isTrained } from "../languages.ts";
import type { HttpEnv, HttpOptions } from "../options.ts";
import { loadedModel } from "../ready.ts";
import { codePoints } from "../search.ts";
import { type TextJob, translateFor } from "../texts.ts";
import { deeplCode, deeplLanguages, readLanguage } from "./codes.ts";
import { glossaryOf } from "./glossary_choice.ts";
import { type DeeplTranslate, readDeeplTranslate } from "./translate_input.ts";

/** The route behind its doors. */
export function translateRoutes(engine: Engine, options: HttpOptions): Hono<HttpEnv> {
  return new Hono<HttpEnv>()
    .post("/v2/translate", ...doors(options, "translate"), (c) => translate(c, engine, options));
}

async function translate(
  c: Context<HttpEnv>,
  engine: Engine,
  options: HttpOptions,
): Promise<Response> {
  const info = loadedModel(engine);
  const input = readDeeplTranslate(c.get("fields"), options.limits);
  const pair = readPair(input, info);
  const fast = input.model_type === "latency_optimized";
  const answers = await translateFor(c, engine, options, {
    texts: input.text,
    ...pair,
    format: input.tag_handling ?? "text",
    wishes: fast ? { beams: 1 } : {},
    rules: { ...rulesOf(input), glossary: glossaryOf(input, pair, c.get("client").name, options) },
  });
  return c.json({
    translations: answers.map((answer, i) => ({
      detected_source_language: deeplCode(answer.source.flores),
      text: answer.text,
      ...(input.show_billed_characters ? { billed_characters: codePoints(input.text[i]!) } : {}),
      ...(input.model_type === undefined
        ? {}
        : { model_type_used: fast ? "latency_optimized" : "quality_optimized" }),
    })),
  });
}

/** The request's pair; no source where it is to be detected. Throws RequestError 400. */
export function readPair(
  input: { source_lang?: string | undefined; target_lang: string },
  info: ModelInfo,
): { source: string | undefined; target: string } {
  const target = readLanguage(input.target_lang, "target", info);
  if (input.source_lang === undefined) return { source: undefined, target };
  const source = readLanguage(input.source_lang, "source", info);
  if (isTrained({ source, target }, info)) return { source, target };
  const pairs = info.pairs.filter((p) => p.source === source);
  const targets = deeplLanguages({ ...info, pairs }, "target").map((l) => l.code);
  throw new RequestError(
    400,
    `Value for 'target_lang' not supported with 'source_lang' ${deeplCode(source)}. Supported: ${
      targets.join(", ")
    }.`,
  );
}

function rulesOf(input: DeeplTranslate): TextJob["rules"] {
  const split = { "0": "off", "1": "on", nonewlines: "nonewlines" } as const;
  return {
    ...(input.split_sentences === undefined
      ? {}
      : { splitSentences: split[input.split_sentences] }),
    outlineDetection: input.outline_detection,
    splittingTags: input.splitting_tags,
    nonSplittingTags: input.non_splitting_tags,
    ignoreTags: input.ignore_tags,
  };
}
