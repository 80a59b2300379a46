/** How a request's sentences are searched for, and how much text it may hold. */
import type { ModelInfo, TranslateParams } from "../engine/protocol.ts";
import { RequestError } from "./errors.ts";
import type { HttpLimits, HttpOptions } from "./options.ts";

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
): Pick<TranslateParams, "beams" | "lengthPenalty" | "maxTokens" | "alternatives"> {
  const alternatives = wishes.alternatives ?? 0;
  const widened = Math.min(MAX_BEAMS, Math.max(defaults.beams, alternatives + 1));
  return {
    beams: wishes.beams ?? widened,
    lengthPenalty: wishes.lengthPenalty ?? defaults.lengthPenalty,
    maxTokens: Math.min(wishes.maxTokens ?? defaults.maxTokens, info.limits.maxTargetTokens),
    alternatives,
  };
}

/** Refuses more texts or longer ones than the service takes, in LibreTranslate's words. */
export function checkTexts(texts: readonly string[], limits: HttpLimits): void {
  checkCount(texts.length, limits);
  for (const text of texts) {
    const chars = codePoints(text);
    if (chars > limits.maxChars) throw overLimit(chars, limits.maxChars);
  }
}

/** Throws RequestError 400 where a request has more texts than one may. */
export function checkCount(count: number, { maxTexts }: HttpLimits): void {
  if (count > maxTexts) throw overLimit(count, maxTexts);
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
