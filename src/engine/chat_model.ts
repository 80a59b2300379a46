/** What a model that is prompted says of itself outside its weights: where answers end, which languages it is asked for. */
import type { ModelSpec } from "../nn/spec.ts";
import type { Manifest } from "../store/manifest.ts";
import { findLanguage } from "../text/languages.ts";
import type { TextTokenizer } from "../text/tokenizer.ts";

/** Languages that a model is asked for where neither the packer nor the model's card names any. */
const LANGUAGES = ["en", "de", "fr", "es", "it", "pt", "nl", "pl", "ru", "zh", "ja", "ko", "ar"];

/** The spec with every token that ends an answer: config.json's, generation_config.json's, the tokenizer's own. */
export function chatEnds(
  spec: ModelSpec,
  { generation }: Pick<Manifest, "generation">,
  tokenizer: TextTokenizer,
): ModelSpec {
  const named = tokenizer.named["eos_token"];
  const ids = [
    ...spec.tokens.eos,
    ...[generation["eos_token_id"] ?? []].flat(),
    named === undefined ? undefined : tokenizer.tokenId(named),
  ];
  const eos = [...new Set(ids.filter((id): id is number => typeof id === "number"))];
  return { ...spec, tokens: { ...spec.tokens, eos } };
}

/** Pairs of FLORES codes: the packer's, else all of the card's languages, else all of some that most models know. */
export function chatPairs({ pairs, provenance }: Pick<Manifest, "pairs" | "provenance">): string[] {
  if (pairs.length > 0) return [...pairs];
  const known = (
    codes: readonly string[],
  ) => [...new Set(codes.flatMap((code) => findLanguage(code)?.flores ?? []))];
  const card = known(provenance.languages ?? []);
  const languages = card.length > 1 ? card : known(LANGUAGES);
  return languages.flatMap((a) => languages.filter((b) => b !== a).map((b) => `${a}-${b}`));
}
