/** Translation by prompt: one sentence as a chat with a fixed instruction, and the translation found in the answer. */
import { MoqeError } from "../base/errors.ts";
import type { ChatTemplates } from "../text/chat_template.ts";
import { languageOf } from "../text/languages.ts";
import type { TextTokenizer } from "../text/tokenizer.ts";
import { answerOf } from "./chat_answer.ts";
import type { SourceWriter } from "./source.ts";

/** What opens the last channel of a model that thinks in another one first (gpt-oss). */
const FINAL_CHANNEL = ["<|channel|>", "<|message|>"] as const;

/** What templates that tell the date are given: a translation must not depend on the day it is asked for. */
const DATE = new Date(Date.UTC(2025, 0, 1));

/** Writes the sentences of one pair of languages for a model without an encoder. */
export function chatSource(
  tokenizer: TextTokenizer,
  templates: ChatTemplates,
  languages: { source: string; target: string },
): SourceWriter {
  const [from, to] = [languages.source, languages.target].map((code) => languageOf(code).name);
  const prompt = templates.hasAny
    ? (sentence: string) => chatPrompt(tokenizer, templates, instruction(from!, to!, sentence))
    : (sentence: string) => [
      ...tokenizer.frame.before,
      ...tokenizer.encode(`${from}: ${sentence}\n${to}:`),
    ];
  return {
    write(sentence) {
      const prefix = prompt(sentence);
      if (prefix.length === 0) throw emptyPrompt();
      return { prefix, tokens: tokenizer.encode(sentence).length };
    },
    extraTokens: prompt("").length,
    answer: (sentence, text) =>
      answerOf(sentence, text, { isChat: templates.hasAny, from: from!, to: to! }),
  };
}

function instruction(from: string, to: string, sentence: string): string {
  return `Translate the following text from ${from} to ${to}. ` +
    `Answer with the translation alone, without quotation marks, notes or explanations.\n\n${sentence}`;
}

/** The chat up to where the answer begins; thinking is off where a template knows how. */
function chatPrompt(tokenizer: TextTokenizer, templates: ChatTemplates, content: string): number[] {
  const prefix = templates.encode(tokenizer, [{ role: "user", content }], {
    addGenerationPrompt: true,
    variables: { enable_thinking: false, reasoning_effort: "low" },
    date: DATE,
  });
  const [channel, message] = FINAL_CHANNEL.map((token) => tokenizer.specials.get(token));
  if (channel === undefined || message === undefined) return prefix;
  return [...prefix, channel, ...tokenizer.encode("final"), message];
}

function emptyPrompt(): MoqeError {
  return new MoqeError("unsupported", {
    action: "translate by prompt",
    rule: "the model's chat template makes an empty prompt",
  });
}
