/** A segment as one string with ranges: what is kept, where tags stand, where sentences are. */
import type { SpanKind, SplitSentences } from "../documents/contract.ts";
import type { TermFinder } from "../glossary.ts";
import { findLanguage } from "../languages.ts";
import { splitText } from "../sentences.ts";
import { complexArguments, type IcuArgument } from "./icu.ts";
import type { InnerText, RichItem, Segment } from "./segment.ts";
import { findSpans } from "./spans.ts";

/** A range of the view's text that is kept. */
export interface KeptSpan {
  readonly start: number;
  readonly end: number;
  readonly kind: SpanKind;
  /** What a translation must show: the text itself, or a term's translation. */
  readonly wanted: string;
  /** The bytes of it in the output. An ICU argument's are replaced when its messages are translated. */
  raw: string;
  readonly icu?: IcuArgument | undefined;
}

/** A tag or another thing without width, between two characters of the view's text. */
export interface ViewPoint {
  readonly kind: "atom" | "open" | "close";
  readonly at: number;
  /** An atom's is replaced when the text in it is translated. */
  raw: string;
  /** Ties an element's tags together; -1 for an atom. */
  readonly pair: number;
  readonly inner?: InnerText | undefined;
}

/** A part of the text: a sentence to translate, or what stands between two. */
export interface ViewPart {
  readonly start: number;
  readonly end: number;
  readonly translate: boolean;
}

export interface View {
  readonly text: string;
  /** In order, apart from each other. */
  readonly spans: readonly KeptSpan[];
  /** In the order of the source. */
  readonly points: readonly ViewPoint[];
  /** In order; together the whole text. */
  readonly parts: readonly ViewPart[];
}

/** Makes the view of a segment. `language` is the BCP 47 code of its text. */
export function viewOf(segment: Segment, language: string, terms?: TermFinder): View {
  const builder = new Builder(segment, terms);
  for (const item of segment.items) builder.add(item);
  builder.endRun();
  const { text, spans, points } = builder;
  return { text, spans, points, parts: partsOf(text, spans, segment.splitSentences, language) };
}

/** A stretch of text items with its place and, where it has one, its raw form. */
interface Stretch {
  readonly start: number;
  readonly end: number;
  readonly raw: string | undefined;
}

class Builder {
  text = "";
  readonly spans: KeptSpan[] = [];
  readonly points: ViewPoint[] = [];
  /** Text since the last tag or atom: spans are looked for in it alone. */
  #run: Stretch[] = [];

  constructor(private readonly segment: Segment, private readonly terms: TermFinder | undefined) {}

  add(item: RichItem): void {
    const start = this.text.length;
    if (item.kind === "text") {
      if (item.text === "") return;
      this.text += item.text;
      this.#run.push({ start, end: this.text.length, raw: item.raw });
      return;
    }
    this.endRun();
    if (item.kind !== "atom") {
      this.points.push({ kind: item.kind, at: start, raw: item.raw, pair: item.pair });
    } else if (item.shown === "") {
      const { raw, inner } = item;
      this.points.push({ kind: "atom", at: start, raw, pair: -1, inner });
    } else {
      this.text += item.shown;
      const kind = item.span ?? "kept";
      this.spans.push({ start, end: this.text.length, kind, raw: item.raw, wanted: item.shown });
    }
  }

  /** Looks for spans in the run at hand, then for terms between them. */
  endRun(): void {
    const run = this.#run;
    if (run.length === 0) return;
    this.#run = [];
    const base = run[0]!.start, text = this.text.slice(base);
    const found: KeptSpan[] = [];
    const simple = (from: number, to: number) => {
      for (const s of findSpans(text.slice(from, to))) {
        found.push(this.#span(base + from + s.start, base + from + s.end, s.kind, run));
      }
    };
    let at = 0;
    // Entities inside an argument would have to be taken apart; such a one is an ordinary text.
    for (const icu of run.some((s) => s.raw !== undefined) ? [] : complexArguments(text)) {
      simple(at, icu.start);
      const span = this.#span(base + icu.start, base + icu.end, "placeholder", run);
      found.push({ ...span, icu });
      at = icu.end;
    }
    simple(at, text.length);
    for (const span of this.#withTerms(text, base, found)) this.spans.push(span);
  }

  #span(start: number, end: number, kind: SpanKind, run: readonly Stretch[]): KeptSpan {
    let raw = "";
    for (let i = firstOver(run, start); i < run.length && run[i]!.start < end; i++) {
      const s = run[i]!;
      raw += s.raw ?? this.text.slice(Math.max(start, s.start), Math.min(end, s.end));
    }
    return { start, end, kind, wanted: this.text.slice(start, end), raw };
  }

  #withTerms(text: string, base: number, found: KeptSpan[]): KeptSpan[] {
    if (this.terms === undefined) return found;
    const all: KeptSpan[] = [];
    let next = 0;
    for (const term of this.terms.find(text)) {
      const start = base + term.start, end = base + term.end;
      while (next < found.length && found[next]!.end <= start) all.push(found[next++]!);
      let behind = next;
      while (behind < found.length && isLooseIn(found[behind]!, start, end)) behind++;
      if (behind < found.length && found[behind]!.start < end) continue;
      next = behind;
      const raw = this.segment.escape(term.target);
      all.push({ start, end, kind: "term", wanted: term.target, raw });
    }
    return [...all, ...found.slice(next)];
  }
}

/** A term may hold numbers and symbols (COVID-19, Acme™) that would be kept for themselves elsewhere. */
function isLooseIn(span: KeptSpan, start: number, end: number): boolean {
  return /^(?:number|symbol)$/.test(span.kind) && start <= span.start && span.end <= end;
}

/** Index of the first range that ends behind `at`. */
function firstOver(run: readonly { readonly end: number }[], at: number): number {
  let low = 0, high = run.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (run[middle]!.end <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Sentences and what is between them. A kept span counts as one word: no sentence ends inside it. */
function partsOf(
  text: string,
  spans: readonly KeptSpan[],
  mode: SplitSentences,
  language: string,
): ViewPart[] {
  const filled = overSpans(
    text,
    spans,
    (s) =>
      s.kind === "number" || s.kind === "symbol" || s.kind === "term"
        ? text.slice(s.start, s.end)
        : `X${"x".repeat(s.end - s.start - 1)}`,
  );
  const words = overSpans(
    text,
    spans,
    (s) => s.kind === "term" ? text.slice(s.start, s.end) : "0".repeat(s.end - s.start),
  );
  // In a language of Latin letters a text of others alone is in another language.
  const letter = findLanguage(language)?.flores.endsWith("_Latn") ? /\p{Script=Latin}/u : /\p{L}/u;
  const parts: ViewPart[] = [];
  const add = (start: number, end: number, translate: boolean) => {
    const last = parts.at(-1);
    if (!translate && last?.translate === false) parts[parts.length - 1] = { ...last, end };
    else parts.push({ start, end, translate });
  };
  let at = 0;
  for (const next of [...spans.filter((s) => s.wanted === "\n"), undefined]) {
    const run = filled.slice(at, next?.start);
    // A tab stands between columns, as a line break between lines.
    const split = splitText(mode === "on" ? run.replaceAll("\t", "\n") : run, { language, mode });
    for (const piece of split.pieces) {
      const end = at + (typeof piece === "string" ? piece : split.sentences[piece]!).length;
      const [from, to] = withoutSymbols(spans, at, end, text);
      if (from > at) add(at, from, false);
      if (to > from) add(from, to, typeof piece === "number" && letter.test(words.slice(from, to)));
      if (end > to) add(to, end, false);
      at = end;
    }
    if (next !== undefined) add(at, next.end, false);
    at = next?.end ?? at;
  }
  return parts;
}

/** A symbol that is no amount, which a sentence may end with. */
function isMark({ kind, wanted }: KeptSpan): boolean {
  return kind === "symbol" && !/\p{N}/u.test(wanted);
}

/** A sentence's range without the symbols at its ends, and the white space beside them: they stay where they are. */
function withoutSymbols(
  spans: readonly KeptSpan[],
  start: number,
  end: number,
  text: string,
): [number, number] {
  let from = start, to = end;
  const inside = spans.slice(firstOver(spans, start), firstOver(spans, end + 1))
    .filter((s) => s.start >= start && s.end <= end);
  const isBlank = (a: number, b: number) => text.slice(a, b).trim() === "";
  for (const span of inside) {
    if (!isMark(span) || !isBlank(from, span.start)) break;
    from = span.end;
  }
  for (const span of inside.toReversed()) {
    if (!isMark(span) || span.start < from || !isBlank(span.end, to)) break;
    to = span.start;
  }
  if (from > start) from += text.slice(from, to).length - text.slice(from, to).trimStart().length;
  if (to < end) to = from + text.slice(from, to).trimEnd().length;
  return [from, to];
}

/** `text` with what `put` says in the spans' places; lengths stay. */
function overSpans(
  text: string,
  spans: readonly KeptSpan[],
  put: (span: KeptSpan) => string,
): string {
  const out: string[] = [];
  let at = 0;
  for (const span of spans) {
    out.push(text.slice(at, span.start), put(span));
    at = span.end;
  }
  out.push(text.slice(at));
  return out.join("");
}
