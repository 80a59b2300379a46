/** Pairs of languages as people name them, and held against the languages that a checkpoint's tokenizer knows. */
import { MoqeError } from "../base/errors.ts";
import type { CheckpointTexts } from "../checkpoint/contract.ts";
import type { SourceSpec } from "../nn/spec.ts";
import { codeOf, findLanguage } from "../text/languages.ts";
import { languageToken } from "../text/tokenizer.ts";

/** Languages' names as tokenizer.json writes them. */
const NAMES = /"([a-z]{3}_[A-Z][a-z]{3}|__[a-z_]+__)"/g;

/**
 * Pairs in FLORES codes, each once.
 *
 * @throws MoqeError `bad_input` for a language without a token, which nobody could ask the packed model for
 */
export function trainedPairs(
  given: readonly string[],
  source: SourceSpec,
  texts: CheckpointTexts,
): string[] {
  const pairs = [...new Set(given.map(floresPair))];
  if (source.kind !== "language tokens") return pairs;
  // Parsed, a tokenizer takes many times its size; names are ASCII.
  const text = new TextDecoder("latin1").decode(texts.tokenizer);
  const known = [...new Set(Array.from(text.matchAll(NAMES), (m) => m[1]!))];
  const lacking = new Set(pairs.flatMap((p) => p.split("-")))
    .values().find((code) => languageToken(known, code) === undefined);
  if (lacking === undefined) return pairs;
  throw new MoqeError("bad_input", {
    action: `pack for ${lacking}`,
    rule: "the checkpoint's tokenizer has no token for it",
    observed: known.length === 0 ? "no language's token" : known.join(", "),
    remedy: "name pairs of these languages in --pairs",
  });
}

/** "en-de" or "eng_Latn-deu_Latn" to the latter; a code may itself hold a hyphen (zh-Hans-en). */
export function floresPair(pair: string): string {
  for (let at = pair.indexOf("-"); at !== -1; at = pair.indexOf("-", at + 1)) {
    const source = findLanguage(pair.slice(0, at))?.flores;
    const target = findLanguage(pair.slice(at + 1))?.flores;
    if (source !== undefined && target !== undefined) return `${source}-${target}`;
  }
  throw new MoqeError("bad_input", {
    action: "read --pairs",
    rule: `"${pair}" is no pair of known language codes`,
    remedy: "say two of them, as en-de or eng_Latn-deu_Latn",
  });
}

/** A pair of FLORES codes as people name it: en-de; a language that no table knows by its own code. */
export function pairText({ source, target }: { source: string; target: string }): string {
  return `${codeOf(source)}-${codeOf(target)}`;
}

/** Pairs in words: every pair of some languages as these. */
export function pairsText(pairs: readonly { source: string; target: string }[]): string {
  const languages = [...new Set(pairs.flatMap(({ source, target }) => [source, target]))];
  const isEvery = languages.length > 3 &&
    pairs.length === languages.length * (languages.length - 1);
  return isEvery
    ? `every pair of ${languages.map(codeOf).join(", ")}`
    : pairs.map(pairText).join(", ");
}
