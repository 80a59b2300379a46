/**
 * Ways to get a sentence translated with its kept spans whole: as it is; with terms already translated; with masks that
 * models copy well; at last the pieces between the spans. Each translation is judged: spans all there, nothing new.
 */
import { findSpans, isOrdered } from "./spans.ts";
import { allowance, clean, isFaithful, scrub, type Syntax } from "./syntax.ts";
import { locate } from "./locate.ts";
import type { KeptSpan } from "./view.ts";

/** A sentence with the spans in it; their places are in `text`. */
export interface Sentence {
  readonly text: string;
  readonly spans: readonly KeptSpan[];
}

/** A span's place in a translation. */
export interface Placed {
  readonly start: number;
  readonly end: number;
  readonly span: KeptSpan;
}

/** A translation in which every span shows what it must, in the order of the translation. */
export interface Translated {
  readonly text: string;
  readonly spans: readonly Placed[];
}

export interface Attempt {
  readonly name: string;
  /** Texts to translate for a sentence; undefined where this way makes no sense for it. */
  texts(sentence: Sentence): string[] | undefined;
  /** The sentence's translation, or undefined where these will not do. */
  accept(sentence: Sentence, translations: readonly string[]): Translated | undefined;
}

/** Longer spans are not shown to a model: it copies them badly and they cost many tokens. */
const MAX_SHOWN = 24;

/** A sentence with more spans is a list of data: the pieces between them are translated. */
const MAX_SPANS = 100;
/** A model does not copy so many masks. */
const MAX_MASKS = 30;

/** In the order in which they are tried. The last one always accepts. */
export const ATTEMPTS: readonly Attempt[] = [
  shown("as it is", (span, text) => span.kind === "term" ? text : span.wanted, () => true),
  shown("terms in place", (span) => span.wanted, (spans) => spans.some((s) => s.kind === "term")),
  masked("<1>", (n) => `<${n}>`, (n) => `<\\s?${n}\\s?>`),
  masked("%1", (n) => `%${n}`, (n) => `%\\s?${n}(?!\\p{N})`),
  { name: "in pieces", texts: pieceTexts, accept: fromPieces },
];

/** The spans are in the text for the model to copy. */
function shown(
  name: string,
  show: (span: KeptSpan, text: string) => string,
  applies: (spans: readonly KeptSpan[]) => boolean,
): Attempt {
  return {
    name,
    texts(sentence) {
      const { spans } = sentence;
      const long = spans.some((s) => s.wanted.length > MAX_SHOWN || /[\r\n]/.test(s.wanted));
      if (long || spans.length > MAX_SPANS || !applies(spans)) return undefined;
      return [written(sentence, (s) => show(s, sentence.text.slice(s.start, s.end)))];
    },
    accept(sentence, [translation]) {
      const found = locate(clean(translation!), sentence.spans);
      return found !== undefined && holds(sentence, found) ? found : undefined;
    },
  };
}

/** Every span is a numbered mask. */
function masked(name: string, mask: (n: number) => string, find: (n: number) => string): Attempt {
  return {
    name,
    texts(sentence) {
      if (sentence.spans.length === 0 || sentence.spans.length > MAX_MASKS) return undefined;
      let n = 0;
      return [written(sentence, () => mask(++n))];
    },
    accept(sentence, [translation]) {
      const out = clean(translation!);
      const places: Placed[] = [];
      for (const [i, span] of sentence.spans.entries()) {
        const matches = [...out.matchAll(new RegExp(find(i + 1), "gu"))];
        if (matches.length !== 1) return undefined;
        const { index, 0: text } = matches[0]!;
        places.push({ start: index, end: index + text.length, span });
      }
      places.sort((a, b) => a.start - b.start);
      const found = unmasked(sentence, out, places);
      return holds(sentence, found) ? found : undefined;
    },
  };
}

/** A masked translation with what the spans must show; spaces that the model lost beside a mask are put back. */
function unmasked(sentence: Sentence, out: string, places: readonly Placed[]): Translated {
  let text = "", at = 0;
  const spans: Placed[] = [];
  const isWord = (c: string | undefined) => c !== undefined && /[\p{L}\p{N}]/u.test(c);
  for (const { start, end, span } of places) {
    text += out.slice(at, start);
    if (/\s/.test(sentence.text[span.start - 1] ?? "") && isWord(text.at(-1))) text += " ";
    spans.push({ start: text.length, end: text.length + span.wanted.length, span });
    text += span.wanted;
    if (/\s/.test(sentence.text[span.end] ?? "") && isWord(out[end])) text += " ";
    at = end;
  }
  return { text: text + out.slice(at), spans };
}

/** Whether a translation may stand: something is said, no syntax is new, and unnamed arguments kept their order. */
function holds(sentence: Sentence, found: Translated): boolean {
  const ordered = sentence.spans.filter((s) => isOrdered(s.wanted));
  const inOrder = found.spans.filter((p) => isOrdered(p.span.wanted));
  if (ordered.some((s, i) => inOrder[i]?.span !== s)) return false;
  if (!areSeen(found)) return false;
  const around = blank(found.text, found.spans);
  // Beside a symbol that a model has no token for it may write another.
  const isSymbol = ({ kind }: { kind: string }) => kind === "symbol";
  if (sentence.spans.some(isSymbol) && findSpans(around).some(isSymbol)) return false;
  return /[\p{L}\p{N}]/u.test(around) && isFaithful(around, syntaxOf(sentence));
}

/** Whether whoever scans the translation finds the spans where they are: none has grown into what is beside it. */
function areSeen(found: Translated): boolean {
  const isScanned = ({ kind, icu }: KeptSpan) =>
    kind !== "kept" && kind !== "term" && icu === undefined;
  const scanned = found.spans.filter((p) => isScanned(p.span));
  if (scanned.length === 0) return true;
  const text = blank(
    found.text,
    found.spans.filter((p) => !isScanned(p.span)),
  );
  const seen = new Set(findSpans(text).map((s) => `${s.start}-${s.end}`));
  // A span that a format marked may be none to the scanner.
  return scanned.every((p) =>
    seen.has(`${p.start}-${p.end}`) || findSpans(p.span.wanted)[0]?.end !== p.span.wanted.length
  );
}

function syntaxOf(sentence: Sentence): Syntax {
  return allowance(blank(sentence.text, sentence.spans));
}

/** `text` with spaces in the ranges' places. */
function blank(text: string, ranges: readonly { start: number; end: number }[]): string {
  let out = "", at = 0;
  for (const { start, end } of ranges) {
    out += text.slice(at, start) + " ".repeat(end - start);
    at = end;
  }
  return out + text.slice(at);
}

/** The sentence on one line, its spans as `show` has them. */
function written(sentence: Sentence, show: (span: KeptSpan) => string): string {
  let out = "", at = 0;
  for (const span of sentence.spans) {
    out += oneLine(sentence.text.slice(at, span.start)) + show(span);
    at = span.end;
  }
  return out + oneLine(sentence.text.slice(at));
}

/** Line breaks, and the spaces around them, are one space. */
export function oneLine(text: string): string {
  return text.replace(/[ \t]*[\n\r\v\f\u0085\u2028\u2029]\s*|[ \t]{2,}/gu, " ");
}

const SPACE = /\s/, MARK = /[^\s\p{L}\p{N}\p{Cs}]/u;

/** Texts between the spans: where they begin and end. White space, and marks that a span clings to, are left out. */
function piecesOf(sentence: Sentence): { start: number; end: number }[] {
  const pieces: { start: number; end: number }[] = [];
  let at = 0;
  for (const next of [...sentence.spans, undefined]) {
    const text = sentence.text.slice(at, next?.start);
    if (/\p{L}/u.test(text)) {
      let from = 0, to = text.length;
      if (at > 0) { while (MARK.test(text[from]!)) from++; }
      while (SPACE.test(text[from]!)) from++;
      if (next !== undefined) { while (MARK.test(text[to - 1]!)) to--; }
      while (SPACE.test(text[to - 1]!)) to--;
      pieces.push({ start: at + from, end: at + to });
    }
    at = next?.end ?? at;
  }
  return pieces;
}

function pieceTexts(sentence: Sentence): string[] {
  return piecesOf(sentence).map(({ start, end }) => oneLine(sentence.text.slice(start, end)));
}

/** The spans stay where they are; a piece whose translation has syntax of its own is cleared of it, or stands. */
function fromPieces(sentence: Sentence, translations: readonly string[]): Translated {
  const pieces = piecesOf(sentence);
  const cuts = [
    ...pieces.map((p, i) => ({ ...p, text: translations[i], span: undefined })),
    ...sentence.spans.map((span) => ({ ...span, text: span.wanted, span })),
  ].sort((a, b) => a.start - b.start);
  let text = "", at = 0;
  const spans: Placed[] = [];
  for (const { start, end, text: given, span } of cuts) {
    text += sentence.text.slice(at, start);
    const source = sentence.text.slice(start, end);
    const put = span === undefined ? scrub(clean(given ?? ""), source) : given!;
    if (span !== undefined) spans.push({ start: text.length, end: text.length + put.length, span });
    text += put;
    at = end;
  }
  return { text: text + sentence.text.slice(at), spans };
}
