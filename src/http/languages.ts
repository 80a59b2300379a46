/** The model's languages in the codes of both APIs, and pairs that a request names. */
import type { ModelInfo } from "../engine/protocol.ts";
import { findLanguage } from "../text/languages.ts";
import { RequestError } from "./errors.ts";

/** A language of the model and what it can be translated to. */
export interface LanguageEntry {
  code: string;
  name: string;
  /** Codes of the trained targets; empty for a language that is only translated to. */
  targets: string[];
}

/** A trained pair, in FLORES codes. */
export interface Pair {
  readonly source: string;
  readonly target: string;
}

/** The code that answers use and the English name; a language that no table knows is called by its own code. */
export function describeLanguage(flores: string): { code: string; name: string } {
  const { code, name } = findLanguage(flores) ?? { code: flores, name: flores };
  return { code, name };
}

/** Every language of the trained pairs, by code. */
export function listLanguages(info: ModelInfo): LanguageEntry[] {
  const entries = new Map<string, LanguageEntry>();
  const entry = (flores: string) => {
    const found = entries.get(flores) ?? { ...describeLanguage(flores), targets: [] };
    entries.set(flores, found);
    return found;
  };
  for (const pair of info.pairs) entry(pair.source).targets.push(entry(pair.target).code);
  for (const e of entries.values()) e.targets.sort();
  return [...entries.values()].sort((a, b) => a.code < b.code ? -1 : 1);
}

/** FLORES codes of one side of the trained pairs, each once. */
export function sideOf(info: ModelInfo, side: "source" | "target"): string[] {
  return [...new Set(info.pairs.map((p) => p[side]))];
}

/** The FLORES code of a language that the model has on either side, or undefined. */
export function modelLanguage(code: string, info: ModelInfo): string | undefined {
  const flores = findLanguage(code)?.flores;
  return info.pairs.some((p) => p.source === flores || p.target === flores) ? flores : undefined;
}

/** True for a pair that the model was trained for. */
export function isTrained({ source, target }: Pair, info: ModelInfo): boolean {
  return info.pairs.some((p) => p.source === source && p.target === target);
}

/** The trained pair that two codes name. Throws RequestError in LibreTranslate's words, with what there is. */
export function resolvePair(codes: Pair, info: ModelInfo): Pair {
  const source = resolveCode(codes.source, info), target = resolveCode(codes.target, info);
  if (isTrained({ source, target }, info)) return { source, target };
  const named = (flores: string) => {
    const { code, name } = describeLanguage(flores);
    return `${name} (${code})`;
  };
  throw new RequestError(
    400,
    `${named(target)} is not available as a target language from ${named(source)}`,
    { fields: { supported: listLanguages(info).filter((l) => l.targets.length > 0) } },
  );
}

/** A language of the model by any code. Throws RequestError in LibreTranslate's words, with the codes there are. */
export function resolveCode(code: string, info: ModelInfo): string {
  const flores = modelLanguage(code, info);
  if (flores !== undefined) return flores;
  throw new RequestError(400, `${code.slice(0, 40)} is not supported`, {
    fields: { supported: listLanguages(info).map((l) => l.code) },
  });
}
