/** Texts to translations, whichever API asked: the engine behind limits, quotas and what the request set. */
import type { Context } from "hono";
import type { Engine, ModelInfo, TranslateParams, Translation } from "../engine/protocol.ts";
import { RequestError } from "./errors.ts";
import type { HttpEnv, HttpLimits, HttpOptions } from "./options.ts";

/** Widest beam that a request may ask for: it multiplies the cache and the work. */
export const MAX_BEAMS = 8;

/** How to search, where a request says. */
export interface SearchWishes {
  readonly beams?: number | undefined;
  readonly lengthPenalty?: number | undefined;
  readonly maxTokens?: number | undefined;
  /** Further translations of each text. */
  readonly alternatives?: number | undefined;
}

/** The request's own settings, else the service's; a beam is widened for the alternatives asked for. */
export function searchParams(
  wishes: SearchWishes,
  info: ModelInfo,
  { defaults }: HttpOptions,
): Omit<TranslateParams, "source" | "target" | "texts"> {
  const alternatives = wishes.alternatives ?? 0;
  const widened = Math.min(MAX_BEAMS, Math.max(defaults.beams, alternatives + 1));
  return {
    beams: wishes.beams ?? widened,
    lengthPenalty: wishes.lengthPenalty ?? defaults.lengthPenalty,
    maxTokens: Math.min(wishes.maxTokens ?? defaults.maxTokens, info.limits.maxTargetTokens),
    alternatives,
  };
}

/** Translates for a request: charges its client, counts its facts, stops when it leaves. */
export async function translateFor(
  c: Context<HttpEnv>,
  engine: Engine,
  options: HttpOptions,
  params: TranslateParams,
): Promise<Translation[]> {
  const characters = params.texts.reduce((n, t) => n + codePoints(t), 0);
  const { source, target, beams } = params;
  Object.assign(c.get("facts"), { source, target, texts: params.texts.length, characters, beams });
  const takeBack = options.access.charge(c.get("client"), characters);
  try {
    const translations = await engine.translate(params, { signal: c.req.raw.signal });
    Object.assign(c.get("facts"), {
      sourceTokens: sum(translations, (t) => t.sourceTokens),
      targetTokens: sum(translations, (t) => t.targetTokens),
    });
    return translations;
  } catch (thrown) {
    takeBack();
    throw thrown;
  }
}

/** Refuses more texts or longer ones than the service takes, in LibreTranslate's words. */
export function checkTexts(texts: readonly string[], limits: HttpLimits): void {
  if (texts.length > limits.maxTexts) throw overLimit(texts.length, limits.maxTexts);
  for (const text of texts) {
    const chars = codePoints(text);
    if (chars > limits.maxChars) throw overLimit(chars, limits.maxChars);
  }
}

/** LibreTranslate has one text for both limits. */
function overLimit(size: number, limit: number): RequestError {
  return new RequestError(400, `Invalid request: request (${size}) exceeds text limit (${limit})`);
}

/** Length as Python counts it, without making an array of a long text. */
export function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

function sum(translations: Translation[], tokens: (t: Translation) => number): number {
  return translations.reduce((total, t) => total + tokens(t), 0);
}
