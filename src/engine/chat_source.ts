/** Translation by prompt: one sentence as a chat with a fixed instruction, and the translation found in the answer. */
import { MoqeError } from "../base/errors.ts";
import type { ChatTemplates } from "../text/chat_template.ts";
import { languageOf } from "../text/languages.ts";
import type { TextTokenizer } from "../text/tokenizer.ts";
import type { SourceWriter } from "./source.ts";

/** What opens the last channel of a model that thinks in another one first (gpt-oss). */
const FINAL_CHANNEL = ["<|channel|>", "<|message|>"] as const;

/** Quotation marks that a model may put around an answer, opening and closing. */
const QUOTES = ['""', "''", "“”", "„“", "‘’", "«»", "``"];

/** A line that comes before an answer and is none: "Here is the translation:", "German:". */
const PREAMBLE = /^[^\n.!?]{0,80}:[ \t]*\n+(?=\S)/;
const LABEL = /^(?:translation|answer|[\p{L} ()]{2,24} translation)[ \t]*:[ \t]*/iu;

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
    extraTokens: 0,
    answer: (sentence, text) => answerOf(sentence, text, { isChat: templates.hasAny, to: to! }),
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
    date: new Date(),
  });
  const [channel, message] = FINAL_CHANNEL.map((token) => tokenizer.specials.get(token));
  if (channel === undefined || message === undefined) return prefix;
  return [...prefix, channel, ...tokenizer.encode("final"), message];
}

/** The translation in what a model wrote: without thoughts, preambles, and quotation marks that the text has not. */
export function answerOf(
  sentence: string,
  text: string,
  { isChat, to }: { isChat: boolean; to: string },
): string {
  const thought = text.lastIndexOf("</think>");
  let answer = (thought < 0 ? text : text.slice(thought + "</think>".length)).trim();
  // Where there is no template, the model goes on with further examples.
  if (!isChat) answer = answer.split("\n", 1)[0]!.trim();
  if (!sentence.includes(":")) {
    answer = answer.replace(PREAMBLE, "").replace(LABEL, "");
    if (answer.startsWith(`${to}:`)) answer = answer.slice(to.length + 1).trimStart();
  }
  for (const [open, close] of QUOTES) {
    const quoted = answer.length > 2 && answer.startsWith(open!) && answer.endsWith(close!);
    if (quoted && !sentence.trim().startsWith(open!) && !isQuoted(sentence)) {
      answer = answer.slice(1, -1).trim();
    }
  }
  return answer;
}

function isQuoted(sentence: string): boolean {
  const text = sentence.trim();
  return QUOTES.some(([open, close]) => text.startsWith(open!) && text.endsWith(close!));
}

function emptyPrompt(): MoqeError {
  return new MoqeError("unsupported", {
    action: "translate by prompt",
    rule: "the model's chat template makes an empty prompt",
  });
}
