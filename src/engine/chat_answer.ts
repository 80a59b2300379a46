/** The translation in what a model that is prompted wrote: without thoughts, introductions, notes and added quotation marks. */

/** Quotation marks that a model may put around an answer, opening and closing. */
const QUOTES = `"" '' “” „“ „” ”” ‘’ ‚‘ «» »« ‹› ›‹ 「」 『』 ＂＂ \`\``.split(" ");
const MARKS = /["“”„«»‹›「」『』＂`]/g;
const COLONS = /[:：]/g;
/** An apostrophe within a word is no quotation mark. */
const APOSTROPHE = /(?<=\p{L})['’](?=\p{L})/gu;

/** "Translation" in the languages that models announce it in. */
const TRANSLATION =
  "translations?|translated text|übersetzung|traduction|traducción|tradução|traduzione|vertaling|" +
  "tłumaczenie|перевод|翻译|翻譯|译文|譯文|翻訳|번역|الترجمة";
/** "Sure! Here is the German translation:", "**Translation:**", "翻译：": up to a colon, on one line. */
const ANNOUNCED = new RegExp(
  `^[*_#\\s]*(?:(?:sure|certainly|of course|okay|ok|here)\\b[^\\n:：]{0,120}|` +
    `[^\\n:：]{0,40}(?:${TRANSLATION})[^\\n:：]{0,40}|answer|output|result)[*_]*\\s*[:：][*_]*\\s*`,
  "iu",
);
/** "Sure!", "Of course." on a line of their own. */
const AGREED = /^(?:sure|certainly|of course|okay|ok)(?: thing)?[!.,]\s*\n+(?=\S)/iu;
/** A line that ends in a colon and has the answer below it. */
const HEADED = /^[^\n]{0,120}[:：][*_ \t]*\n+(?=\S)/u;
/** What follows an answer and is none: "Note: ...", "(Literally: ...)". */
const NOTED =
  /\n\s*[(*_[]*(?:notes?|explanation|literally|alternatively|hinweis|anmerkung|erklärung|remarque|nota|注|说明|説明)(?!\p{L})[^\n]*[:：][\s\S]*$/iu;
const FENCE = /^(`{3,})[^\n`]*\n([\s\S]*?)\n?\1$/;

const count = (text: string, what: RegExp) => text.match(what)?.length ?? 0;

/**
 * The translation of `sentence` in what a model wrote. `isChat`: it answered a chat, and did not go on with a list of
 * examples; `from` and `to` are the languages' English names. What the sentence itself has (a colon, quotation marks,
 * a fence) is not taken off. The sentence itself where nothing is left.
 */
export function answerOf(
  sentence: string,
  text: string,
  { isChat, from, to }: { isChat: boolean; from: string; to: string },
): string {
  let answer = withoutThoughts(sentence, text).trim();
  // Where there is no template, the model goes on with further examples.
  if (!isChat) answer = label(from).test(answer) ? "" : answer.split("\n", 1)[0]!.trim();
  answer = withoutIntroduction(sentence, answer, { from, to });
  if (!sentence.includes("```")) answer = FENCE.exec(answer)?.[2]?.trim() ?? answer;
  if (!sentence.includes("\n")) answer = answer.replace(NOTED, "").split(/\n\s*\n/, 1)[0]!.trim();
  answer = withoutQuotes(sentence, answer);
  return answer === "" ? sentence : answer;
}

/** What follows a model's thoughts; nothing where they were cut off. */
function withoutThoughts(sentence: string, text: string): string {
  if (sentence.includes("think>")) return text;
  const end = text.lastIndexOf("</think>");
  if (end >= 0) return text.slice(end + "</think>".length);
  return text.trimStart().startsWith("<think>") ? "" : text;
}

/** Takes off what ends in a colon that the sentence has not, and says that a translation comes. */
function withoutIntroduction(
  sentence: string,
  answer: string,
  { from, to }: { from: string; to: string },
): string {
  let left = answer.replace(AGREED, (agreed) => sentence.startsWith(agreed.trim()) ? agreed : "");
  const colons = count(sentence, COLONS);
  const isIntroduced = () => count(left.split("\n\n", 2).join(" "), COLONS) > colons;
  // "English: Hello" and, below it, "German: Hallo".
  const pair = left.match(label(from)) && left.split(/\n+/).find((line) => label(to).test(line));
  if (pair && isIntroduced()) left = pair;
  const isOfTranslation = new RegExp(TRANSLATION, "iu").test(sentence.slice(0, 80));
  for (const introduction of [...isOfTranslation ? [] : [ANNOUNCED], label(to), HEADED]) {
    const [taken] = introduction.exec(left) ?? [];
    if (taken === undefined || taken.length === left.length || !isIntroduced()) continue;
    left = left.slice(taken.length).trim();
  }
  return left;
}

/** "German:", "**German**:" or "German translation:" at the start of a text. */
function label(language: string): RegExp {
  const name = language.replace(/[^\p{L}\p{N}]/gu, "\\$&");
  return new RegExp(
    `^[*_#\\s]*${name}(?: version| translation)?[*_]*\\s*[:：][*_]*\\s*`,
    "iu",
  );
}

/** Takes off one pair of quotation marks around all of an answer, where the sentence has none around it. */
function withoutQuotes(sentence: string, answer: string): string {
  if (isQuoted(sentence.trim())) return answer;
  for (const [open, close] of QUOTES) {
    const stop = /[.。!?]$/.exec(answer)?.[0] ?? "", end = answer.length - stop.length;
    if (end < 3 || !answer.startsWith(open!) || answer[end - 1] !== close) continue;
    const inner = answer.slice(1, end - 1), plain = inner.replace(APOSTROPHE, "");
    const isPair = !plain.includes(open!) && !plain.includes(close!);
    if (!isPair && count(answer, MARKS) !== count(sentence, MARKS) + 2) continue;
    return `${inner.trim()}${/[.。!?]$/.test(inner) ? "" : stop}`;
  }
  return answer;
}

function isQuoted(text: string): boolean {
  return QUOTES.some(([open, close]) =>
    text.length > 1 && text.startsWith(open!) && text.replace(/[.。!?]$/, "").endsWith(close!)
  );
}
