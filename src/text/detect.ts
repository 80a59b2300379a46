/**
 * Which language a text is in: eld's n-gram tables (60 languages, its smallest set). They take about 85 MB of resident
 * memory, so that they are loaded when a text is first asked about, or by `loadDetector` where a program wants them
 * counted at its start.
 */
import type { DetectedLanguage } from "./documents/contract.ts";
import { findLanguage } from "./languages.ts";
import { findSpans } from "./rich/spans.ts";

/** What loading the detector adds to the process's resident memory, for budgets. */
export const DETECTOR_BYTES = 90 * 2 ** 20;

/** More of a text adds nothing. */
const MAX_CHARS = 2000;
/** Most guesses of one text. */
const MAX_GUESSES = 10;
/** Sharpens scores with the text's length, so that confidences are about how often a guess is right. */
const SHARPNESS = 4;

/** Below this a guess among all languages gives way to the best of those that the model can read. */
const SURE = 0.5;
/**
 * Letters from which on a guess is right often enough to refuse a text: of one short English text in eight
 * ("Dark mode", "Invalid input") the tables are sure that it is in another language.
 */
const ENOUGH_LETTERS = 20;

type Scores = (text: string) => Record<string, number>;
let loading: Promise<Scores> | undefined;

/** Loads the tables, once. */
export async function loadDetector(): Promise<void> {
  await scores();
}

function scores(): Promise<Scores> {
  loading ??= import("eld/extrasmall").then(({ eld }) => (text) => eld.detect(text).getScores());
  return loading;
}

/**
 * Languages that `text` may be in, best first; empty for a text without words. `candidates`, codes that findLanguage
 * knows, are the only ones considered; a single one is certain.
 */
export async function detectLanguage(
  text: string,
  candidates?: readonly string[],
): Promise<DetectedLanguage[]> {
  const words = onlyWords(text);
  const letters = [...words.matchAll(/\p{L}/gu)].length;
  if (letters === 0) return [];
  const allowed = candidates?.map((c) => findLanguage(c)).filter((l) => l !== undefined);
  if (allowed?.length === 1) {
    return [{ flores: allowed[0]!.flores, code: allowed[0]!.code, confidence: 1 }];
  }
  const sharpness = SHARPNESS * Math.sqrt(letters);
  const guesses = Object.entries((await scores())(words)).flatMap(([code, score]) => {
    const language = chosen(code, words, allowed);
    return language === undefined ? [] : [{ language, weight: score ** sharpness }];
  });
  const total = guesses.reduce((sum, g) => sum + g.weight, 0);
  if (total === 0) return [];
  return guesses
    .map(({ language: { flores, code }, weight }) => ({ flores, code, confidence: weight / total }))
    .sort((a, b) => b.confidence - a.confidence)
    .slice(0, MAX_GUESSES);
}

/** A text without addresses, code, tags, placeholders and numbers. */
function onlyWords(text: string): string {
  const head = text.slice(0, 4 * MAX_CHARS);
  let words = "", at = 0;
  for (const { start, end } of findSpans(head)) {
    words += `${head.slice(at, start)} `;
    at = end;
  }
  return (words + head.slice(at)).slice(0, MAX_CHARS);
}

/** The language that a code of eld's means here: one of those allowed; Chinese by its characters. */
function chosen(
  code: string,
  text: string,
  allowed: readonly { flores: string; code: string }[] | undefined,
): { flores: string; code: string } | undefined {
  const exact = findLanguage(code === "zh" && isTraditional(text) ? "zh-Hant" : code);
  if (allowed === undefined || exact === undefined) return exact;
  // Norwegian, Chinese and their like have several written forms: the one that is allowed is meant.
  return allowed.find((a) => a.flores === exact.flores) ??
    allowed.find((a) => a.code.split("-")[0] === code || SAME.get(code)?.includes(a.flores));
}

const SAME: ReadonlyMap<string, readonly string[]> = new Map([
  ["no", ["nob_Latn", "nno_Latn"]],
  ["ms", ["zsm_Latn", "ind_Latn"]],
  ["zh", ["zho_Hans", "zho_Hant", "yue_Hant"]],
]);

/** Common characters that only one of the two Chinese scripts has. */
const TRADITIONAL =
  /[們這個來時國說學會對發經長過進開關點電話問題體業還樣現麼謝讓請認識應該見覺]/gu;
const SIMPLIFIED = /[们这个来时国说学会对发经长过进开关点电话问题体业还样现么谢让请认识应该见觉]/gu;

function isTraditional(text: string): boolean {
  const count = (pattern: RegExp) => text.match(pattern)?.length ?? 0;
  return count(TRADITIONAL) > count(SIMPLIFIED);
}

/** Whether a language that the model reads may be meant: it is written in the guess's script, and the guess says little. */
export function mayBeOneOf(
  readable: readonly string[],
  text: string,
  guess: DetectedLanguage,
): boolean {
  const scriptOf = (flores: string) => flores.split("_")[1];
  if (!readable.some((flores) => scriptOf(flores) === scriptOf(guess.flores))) return false;
  if (guess.confidence < SURE) return true;
  let letters = 0;
  for (const _ of text.matchAll(/\p{L}/gu)) if (++letters >= ENOUGH_LETTERS) return false;
  return true;
}
