/** How a sentence and its languages become the tokens that a model reads, by the kind its architecture names. */
import type { ModelSpec } from "../nn/spec.ts";
import { languageOf } from "../text/languages.ts";
import type { TextTokenizer } from "../text/tokenizer.ts";

/** Writes the sentences of one pair of languages. */
export interface SourceWriter {
  /** The tokens of a sentence, end token included. */
  write(sentence: string): number[];
  /** How many of them are not the sentence's own. */
  readonly extraTokens: number;
  /** What the translation begins with. */
  readonly prefix: readonly number[];
  /** How many of the prefix's last tokens count as generated. */
  readonly forced: number;
}

/** Languages are FLORES codes. Throws MoqeError `bad_input` for one that the tokenizer has no token of. */
export function sourceWriter(
  { source: kind, tokens }: Pick<ModelSpec, "source" | "tokens">,
  tokenizer: TextTokenizer,
  languages: { source: string; target: string },
): SourceWriter {
  const start = tokens.decoderStart;
  if (kind.kind === "language tokens") {
    return {
      write: (sentence) => tokenizer.encodeSource(sentence, languages.source),
      extraTokens: 2,
      prefix: [start, tokenizer.languageId(languages.target)],
      forced: 1,
    };
  }
  const [from, to] = [languages.source, languages.target].map((code) => languageOf(code).name);
  const prompt = `translate ${from} to ${to}: `;
  return {
    // As one text: a prompt's last token may hold the space before the sentence.
    write: (sentence) => [...tokenizer.encode(prompt + sentence), tokenizer.eosId],
    extraTokens: tokenizer.encode(prompt).length + 1,
    prefix: [start],
    forced: 0,
  };
}
