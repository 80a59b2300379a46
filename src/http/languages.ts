/** GET /languages in LibreTranslate's shape: only what the model was trained for. */
import { Hono } from "hono";
import type { Engine, ModelInfo } from "../engine/protocol.ts";
import { findLanguage } from "../text/languages.ts";
import { methodNotAllowed, RequestError } from "./errors.ts";
import type { HttpEnv } from "./options.ts";
import { loadedModel } from "./ready.ts";

/** A language of the model and what it can be translated to. */
export interface LanguageEntry {
  code: string;
  name: string;
  /** Codes of the trained targets; empty for a language that is only translated to. */
  targets: string[];
}

/** The route. */
export function languageRoutes(engine: Engine): Hono<HttpEnv> {
  return new Hono<HttpEnv>()
    .get("/languages", (c) => c.json(listLanguages(loadedModel(engine))))
    .all("/languages", methodNotAllowed("GET"));
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

/** The trained pair that two codes name. Throws RequestError in LibreTranslate's words. */
export function resolvePair(
  codes: { source: string; target: string },
  info: ModelInfo,
): { source: string; target: string } {
  const known = new Set(info.pairs.flatMap((p) => [p.source, p.target]));
  const resolve = (code: string) => {
    const flores = findLanguage(code)?.flores;
    if (flores !== undefined && known.has(flores)) return flores;
    throw new RequestError(400, `${code.slice(0, 40)} is not supported`);
  };
  const source = resolve(codes.source), target = resolve(codes.target);
  if (info.pairs.some((p) => p.source === source && p.target === target)) return { source, target };
  const named = (flores: string) => {
    const { code, name } = describeLanguage(flores);
    return `${name} (${code})`;
  };
  throw new RequestError(
    400,
    `${named(target)} is not available as a target language from ${named(source)}`,
  );
}
