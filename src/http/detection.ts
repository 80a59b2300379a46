/** Which language each text is translated from: the one that the request names, else the one that is detected. */
import type { ModelInfo } from "../engine/protocol.ts";
import { detectLanguage, mayBeOneOf } from "../text/detect.ts";
import { visibleText } from "../text/markup/visible.ts";
import { RequestError } from "./errors.ts";
import { describeLanguage, isTrained } from "./languages.ts";
import type { HttpOptions } from "./options.ts";

/** A text's language. */
export interface ChosenSource {
  readonly flores: string;
  /** 0 to 1 where it was detected, undefined where the request named it. */
  readonly confidence: number | undefined;
}

/** Characters of a page that are looked at. */
const ENOUGH = 8192;
/**
 * A source for each text. Throws RequestError 400, in LibreTranslate's words, for a text that is surely of a language
 * that the model does not translate to the target.
 */
export async function chooseSources(
  job: { texts: readonly string[]; source: string | undefined; target: string; format: string },
  info: ModelInfo,
  options: HttpOptions,
): Promise<ChosenSource[]> {
  const { source, target } = job;
  if (source !== undefined) {
    return job.texts.map(() => ({ flores: source, confidence: undefined }));
  }
  checkDetection(options);
  const readable = info.pairs.filter((p) => p.target === target).map((p) => p.source);
  const chosen: ChosenSource[] = [];
  for (const text of job.texts) {
    const plain = job.format === "text" ? text : visibleText(text, ENOUGH);
    chosen.push(await choose(plain, target, readable, info));
  }
  return chosen;
}

/** Throws RequestError 400 where the service runs without detection. */
export function checkDetection({ detection }: HttpOptions): void {
  if (detection) return;
  throw new RequestError(
    400,
    "auto is not supported: this service runs without detection; name the source language",
  );
}

async function choose(
  text: string,
  target: string,
  readable: readonly string[],
  info: ModelInfo,
): Promise<ChosenSource> {
  const [guess] = await detectLanguage(text);
  // Without letters there is nothing to detect, and nothing to translate either.
  if (guess === undefined) return { flores: readable[0] ?? target, confidence: 0 };
  if (guess.flores === target || isTrained({ source: guess.flores, target }, info)) {
    return { flores: guess.flores, confidence: guess.confidence };
  }
  if (mayBeOneOf(readable, text, guess)) {
    const [near] = await detectLanguage(text, readable);
    const confidence = Math.min(guess.confidence, 1 - guess.confidence);
    return { flores: near?.flores ?? readable[0]!, confidence };
  }
  const { code, name } = describeLanguage(guess.flores);
  const to = describeLanguage(target);
  throw new RequestError(
    400,
    `${to.name} (${to.code}) is not available as a target language from ${name} (${code})`,
    { fields: { supported: readable.map((flores) => describeLanguage(flores).code) } },
  );
}
