/** POST /detect in LibreTranslate's shape. */
import { type Context, Hono } from "hono";
import type { Engine } from "../../engine/protocol.ts";
import { detectLanguage } from "../../text/detect.ts";
import { checkDetection } from "../detection.ts";
import { doors } from "../doors.ts";
import { describeLanguage, sideOf } from "../languages.ts";
import type { HttpEnv, HttpOptions } from "../options.ts";
import { codePoints } from "../search.ts";
import { readTexts } from "./translate_input.ts";

/** Most guesses of an answer. */
const GUESSES = 3;

/** The route behind its doors. */
export function detectRoutes(engine: Engine, options: HttpOptions): Hono<HttpEnv> {
  return new Hono<HttpEnv>()
    .post("/detect", ...doors(options, "translate"), (c) => detect(c, engine, options));
}

/** One answer for all texts, as LibreTranslate has it; clients read its first guess without looking for one. */
async function detect(
  c: Context<HttpEnv>,
  engine: Engine,
  options: HttpOptions,
): Promise<Response> {
  const { texts } = readTexts(c.get("fields")["q"], options.limits);
  checkDetection(options);
  const guesses = [...await guessesOf(texts)].sort(([, a], [, b]) => b - a).slice(0, GUESSES);
  if (guesses.length === 0) guesses.push([defaultCode(engine), 0]);
  return c.json(guesses.map(([language, confidence]) => ({
    confidence: Math.round(100 * confidence),
    language,
  })));
}

/** Confidences by code: those of each text by its length. Texts without words say nothing. */
async function guessesOf(texts: readonly string[]): Promise<Map<string, number>> {
  const sums = new Map<string, number>();
  let total = 0;
  for (const text of texts) {
    const guesses = await detectLanguage(text), length = codePoints(text);
    if (guesses.length > 0) total += length;
    for (const { code, confidence } of guesses) {
      sums.set(code, (sums.get(code) ?? 0) + confidence * length);
    }
  }
  return new Map([...sums].map(([code, sum]) => [code, sum / total]));
}

/** What LibreTranslate says of texts without words, if the model reads it. */
function defaultCode({ info }: Engine): string {
  const codes = info === undefined
    ? []
    : sideOf(info, "source").map((s) => describeLanguage(s).code);
  return codes.includes("en") ? "en" : codes[0] ?? "en";
}
