/** POST /translate in LibreTranslate's shape. */
import { type Context, Hono } from "hono";
import type { Engine, ModelInfo } from "../../engine/protocol.ts";
import { doors } from "../doors.ts";
import { describeLanguage } from "../languages.ts";
import type { HttpEnv, HttpOptions } from "../options.ts";
import { loadedModel } from "../ready.ts";
import { type TextAnswer, type TextJob, translateFor } from "../texts.ts";
import { answerWithEvents, wantsEvents } from "./stream.ts";
import { readTranslateInput, resolveInput, type TranslateInput } from "./translate_input.ts";

/** The route behind its doors. */
export function translateRoutes(engine: Engine, options: HttpOptions): Hono<HttpEnv> {
  return new Hono<HttpEnv>()
    .post("/translate", ...doors(options, "translate"), (c) => translate(c, engine, options));
}

async function translate(
  c: Context<HttpEnv>,
  engine: Engine,
  options: HttpOptions,
): Promise<Response> {
  const info = loadedModel(engine);
  const input = readTranslateInput(c.get("fields"), options.limits);
  const job = jobOf(input, info);
  const shape = (answers: TextAnswer[]) => answerOf(input, answers);
  if (wantsEvents(c)) return answerWithEvents(c, engine, options, job, shape);
  return c.json(shape(await translateFor(c, engine, options, job)));
}

/** What the request wants, in the model's codes. */
function jobOf(input: TranslateInput, info: ModelInfo): TextJob {
  const { texts, format } = input;
  return { texts, format, ...resolveInput(input, info), wishes: input };
}

/** An array for a batch, a string for one text; languages only where detected, alternatives where asked for. */
function answerOf(input: TranslateInput, answers: TextAnswer[]): Record<string, unknown> {
  const shaped = <T>(each: (answer: TextAnswer) => T) =>
    input.batch ? answers.map(each) : each(answers[0]!);
  return {
    translatedText: shaped((a) => a.text),
    ...(input.source === undefined ? { detectedLanguage: shaped(detectedOf) } : {}),
    ...(input.alternatives > 0 ? { alternatives: shaped((a) => a.alternatives) } : {}),
  };
}

/** LibreTranslate's confidence is a percentage. */
function detectedOf({ source }: TextAnswer) {
  return {
    confidence: Math.round(100 * (source.confidence ?? 1)),
    language: describeLanguage(source.flores).code,
  };
}
