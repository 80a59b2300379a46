/** Languages by any of the codes that clients use: FLORES-200, ISO 639, BCP 47, LibreTranslate's and DeepL's. */
import { MoqeError } from "../base/errors.ts";
import { LANGUAGE_TABLE } from "./language_table.ts";

export interface Language {
  /** FLORES-200 code, which is NLLB's token: deu_Latn. */
  readonly flores: string;
  /** The code that answers use: de, pt, zh-Hans. */
  readonly code: string;
  /** English name. */
  readonly name: string;
  /** Further codes that requests may use. */
  readonly aliases: readonly string[];
}

export const LANGUAGES: readonly Language[] = LANGUAGE_TABLE.trim().split("\n").map((line) => {
  const [flores, code, name, aliases] = line.split("|");
  return { flores: flores!, code: code!, name: name!, aliases: aliases?.split(" ") ?? [] };
});

const byCode = new Map<string, Language>();
for (const language of LANGUAGES) {
  for (const code of [language.flores, language.code, ...language.aliases]) {
    byCode.set(keyOf(code), language);
  }
}
// A bare ISO 639-3 code means the script that has the shorter code: ace is ace_Latn, zho is zho_Hans.
for (const language of LANGUAGES.toSorted((a, b) => a.code.length - b.code.length)) {
  const bare = keyOf(language.flores.slice(0, 3));
  if (!byCode.has(bare)) byCode.set(bare, language);
}

function keyOf(code: string): string {
  return code.trim().toLowerCase().replaceAll("_", "-");
}

/**
 * The language of a code, whatever its case and with `-` or `_`; undefined for one that is not known.
 * A region that makes no difference is ignored: en-US is English, de_AT is German.
 */
export function findLanguage(code: string): Language | undefined {
  const key = keyOf(code);
  const exact = byCode.get(key);
  if (exact !== undefined) return exact;
  // zh-Hant-TW, sr-Cyrl-RS: the region goes first, then a script if it is that of the language found.
  const parts = key.split("-");
  const last = parts.pop();
  if (last === undefined || parts.length === 0) return undefined;
  if (/^(?:[a-z]{2}|\d{3})$/.test(last)) return findLanguage(parts.join("-"));
  const shorter = /^[a-z]{4}$/.test(last) ? byCode.get(parts.join("-")) : undefined;
  return shorter?.flores.slice(4).toLowerCase() === last ? shorter : undefined;
}

/** The code that people use for a language, by any code of it; one that no table knows is its own. */
export function codeOf(code: string): string {
  return findLanguage(code)?.code ?? code;
}

/**
 * The language of a code, one of `offered` (FLORES codes) where that is given.
 * Throws `bad_input` that lists what there is.
 */
export function languageOf(code: string, offered?: readonly string[]): Language {
  const language = findLanguage(code);
  if (language !== undefined && (offered?.includes(language.flores) ?? true)) return language;
  const choices = offered?.map(codeOf) ??
    LANGUAGES.map((known) => known.code);
  throw new MoqeError("bad_input", {
    action: "use the language",
    rule: `it must be one of ${choices.join(", ")}`,
    observed: JSON.stringify(code.slice(0, 40)),
  });
}
