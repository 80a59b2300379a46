/**
 * Splits a text into sentences to translate and what stands between them, which is kept to the byte:
 * line breaks, blank lines, indentation, spaces between sentences, and lines without a letter.
 */
import { cutToFit, type PieceLimit } from "./cut.ts";
import { goesOn, HEAD_UNITS } from "./abbreviations.ts";
import type { SplitSentences } from "./documents/contract.ts";

/** Text to copy as it is, or the index of a sentence. */
export type TextPiece = string | number;

export interface SplitText {
  /**
   * In order. With every index replaced by its sentence they join to the text; unless `mode` is "on", a sentence has
   * a space for each unit of a line break.
   */
  readonly pieces: readonly TextPiece[];
  /** No white space at either end; each within the limit that was given. */
  readonly sentences: readonly string[];
}

export interface SplitOptions {
  /** BCP 47 code of the text's language: de, zh-Hans. */
  language: string;
  /** Longer sentences are cut. Without it none is. */
  limit?: PieceLimit;
  /** Where sentences end; "on" unless given. */
  mode?: SplitSentences | undefined;
}

/** Line breaks, every kind that Unicode has; CR LF is one. */
const LINE_BREAK = /(\r\n|[\n\r\v\f\u0085\u2028\u2029])/u;

/** Splits `text`. In mode "on" a line break ends a sentence, so that a translation keeps its lines. */
export function splitText(text: string, options: SplitOptions): SplitText {
  const steps = splitSteps(text, options);
  for (let step = steps.next();; step = steps.next()) if (step.done) return step.value;
}

/** The same in steps, one for each sentence or part of one that is cut: others may have their turn between them. */
export function* splitSteps(text: string, options: SplitOptions): Generator<void, SplitText> {
  const pieces: TextPiece[] = [], sentences: string[] = [];
  const copy = (kept: string) => {
    if (kept === "") return;
    if (typeof pieces.at(-1) === "string") pieces[pieces.length - 1] += kept;
    else pieces.push(kept);
  };
  const mode = options.mode ?? "on";
  // `split` puts the breaks, captured, at odd places.
  const lines = mode === "on"
    ? text.split(LINE_BREAK)
    : [text.replace(/[\n\r\v\f\u0085\u2028\u2029]/gu, " ")];
  for (const [i, line] of lines.entries()) {
    if (i % 2 === 1 || !hasLetter(line)) {
      copy(line);
      continue;
    }
    const found = mode === "off" ? [line] : sentencesOf(line, options.language);
    for (const sentence of found) {
      const cuts = options.limit === undefined ? [sentence] : cutToFit(sentence, options.limit);
      for (const cut of cuts) {
        const core = hasLetter(cut) ? cut.trim() : "";
        const start = cut.length - cut.trimStart().length;
        copy(core === "" ? cut : cut.slice(0, start));
        if (core === "") continue;
        pieces.push(sentences.push(core) - 1);
        copy(cut.slice(start + core.length));
        yield;
      }
    }
  }
  return { pieces, sentences };
}

/** Puts translations, one for each sentence, in the sentences' places. */
export function joinText(split: SplitText, translations: readonly string[]): string {
  if (translations.length !== split.sentences.length) {
    throw new RangeError(
      `cannot join a text: it has ${split.sentences.length} sentences (got ${translations.length} translations)`,
    );
  }
  return split.pieces.map((p) => typeof p === "string" ? p : translations[p]).join("");
}

/** Without a letter there is nothing to translate: numbers, rules, bullets, emoji are copied. */
function hasLetter(text: string): boolean {
  return /\p{L}/u.test(text);
}

const segmenters = new Map<string, Intl.Segmenter>();
const MOST_SEGMENTERS = 32;

/** A language's segmenter. Making one takes longer than most sentences do, so that the last ones are kept. */
function segmenterOf(language: string): Intl.Segmenter {
  let segmenter = segmenters.get(language);
  if (segmenter === undefined) {
    if (segmenters.size >= MOST_SEGMENTERS) segmenters.clear();
    segmenter = new Intl.Segmenter(language, { granularity: "sentence" });
    segmenters.set(language, segmenter);
  }
  return segmenter;
}

/** Quotation and bracket marks that open; ICU leaves them at the end of the sentence before. */
const CJK_OPENING = /[「『（《〈【［｛〔]+$/u;
/** The same in Chinese, whose quotation marks close in other languages: „so“. */
const CHINESE_OPENING = /[「『（《〈【［｛〔“‘]+$/u;
/** A mark that closes behind a space, as French has it; ICU begins the next sentence with it. */
const CLOSING = /^[»›]+(?:[ \u00a0\u202f]+|$)/u;

/**
 * The sentences of one line in order, all of it, spaces included. Works on positions: a sentence that grows by
 * many segments is not copied for each.
 */
function sentencesOf(line: string, language: string): string[] {
  const segmenter = segmenterOf(language);
  const base = language.split("-")[0]!.toLowerCase();
  const marks = base === "zh" || base === "yue" ? CHINESE_OPENING : CJK_OPENING;
  const ends: number[] = [];
  let start = 0; // of the segment at hand
  for (const { segment, index } of segmenter.segment(line)) {
    const opening = marks.exec(segment.slice(-HEAD_UNITS))?.[0].length ?? 0;
    const end = index + segment.length - opening;
    if (ends.length > 0) {
      start += CLOSING.exec(line.slice(start, end))?.[0].length ?? 0;
      ends[ends.length - 1] = start;
    }
    if (end <= start) continue;
    const from = Math.max(ends.at(-2) ?? 0, start - HEAD_UNITS);
    const head = line.slice(from, start).trimEnd();
    if (ends.length > 0 && goesOn(head, line.slice(start, end).trimStart(), base)) ends.pop();
    ends.push(end);
    start = end;
  }
  if (start < line.length) ends[Math.max(0, ends.length - 1)] = line.length;
  return ends.map((end, i) => line.slice(ends[i - 1] ?? 0, end));
}
