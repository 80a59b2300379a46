/** How a sentence and its languages become the tokens that a model reads, by the kind its architecture names. */
import type { ModelSpec } from "../nn/spec.ts";
import { languageOf } from "../text/languages.ts";
import type { TextTokenizer } from "../text/tokenizer.ts";
import type { ChatTemplates } from "../text/chat_template.ts";
import { chatSource } from "./chat_source.ts";
import type { Job } from "./queue.ts";

/** A sentence as a job takes it. */
export interface WrittenSource extends Pick<Job, "source" | "prefix" | "forced"> {
  /** Of the source, or of the sentence where there is none. */
  readonly tokens: number;
}

/** Writes the sentences of one pair of languages. */
export interface SourceWriter {
  write(sentence: string): WrittenSource;
  /** How many of a source's tokens, or of a prompt's, are not the sentence's own. */
  readonly extraTokens: number;
  /** The translation in what the model wrote for a sentence; the whole of it unless given. */
  readonly answer?: ((sentence: string, text: string) => string) | undefined;
}

/** Languages are FLORES codes. Throws MoqeError `bad_input` for one that the tokenizer has no token of. */
export function sourceWriter(
  { source: kind, tokens }: Pick<ModelSpec, "source" | "tokens">,
  tokenizer: TextTokenizer,
  templates: ChatTemplates,
  languages: { source: string; target: string },
): SourceWriter {
  if (kind.kind === "chat") return chatSource(tokenizer, templates, languages);
  const start = tokens.decoderStart;
  const written = (source: number[], prefix: number[], forced: number) => (
    { source: Int32Array.from(source), prefix, forced, tokens: source.length }
  );
  if (kind.kind === "language tokens") {
    const prefix = [start, tokenizer.languageId(languages.target)];
    const write = (sentence: string) =>
      written(tokenizer.encodeSource(sentence, languages.source), prefix, 1);
    return { write, extraTokens: 2 };
  }
  const [from, to] = [languages.source, languages.target].map((code) => languageOf(code).name);
  const prompt = `translate ${from} to ${to}: `;
  return {
    // As one text: a prompt's last token may hold the space before the sentence.
    write: (sentence) =>
      written([...tokenizer.encode(prompt + sentence), tokenizer.eosId], [start], 0),
    extraTokens: tokenizer.encode(prompt).length + 1,
  };
}
