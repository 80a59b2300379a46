/**
 * Where things of a source sentence stand in its translation. A model gives no alignment, so three witnesses are heard:
 * kept spans and words that are equal in both; the translation of the words by themselves, looked for in the sentence's;
 * and the place in proportion between what is known.
 */
import type { Sentence, Translated } from "./attempts.ts";
import { alike, type Word, wordsOf } from "./words.ts";

/** A range of a text, in UTF-16 units. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Longer sentences are aligned in proportion only, so that the work stays linear. */
const MAX_WORDS = 300;
/** A window of the translation with a lower score is no finding. */
const LEAST_SCORE = 0.4;
/** How much a window loses that is as far from the expected place as the sentence is long. */
const DISTANCE_WEIGHT = 0.3;

/** A sentence and its translation. */
export class Alignment {
  readonly #source: readonly Word[];
  readonly #target: readonly Word[];
  /** Places known in both, in order of the source: [source position, target position]. */
  readonly #known: readonly (readonly [number, number])[];
  /** The translation is the source: every place is where it was. */
  readonly #same: boolean;
  /** Target word of a source word, where that is known. */
  readonly #pairs = new Map<Word, Word>();

  constructor(private readonly sentence: Sentence, private readonly translated: Translated) {
    this.#same = sentence.text === translated.text;
    this.#source = wordsOf(sentence.text, sentence.spans.map((span) => ({ ...span, span })));
    this.#target = wordsOf(translated.text, translated.spans);
    this.#pairWords();
    const known: [number, number][] = [[0, 0]];
    for (const [from, to] of this.#pairs) {
      known.push([from.start, to.start], [from.end, to.end]);
    }
    known.push([sentence.text.length, translated.text.length]);
    this.#known = known;
  }

  /**
   * The range of the translation that stands for a range of the source. `hint` is the range's own translation.
   * A range at an edge that goes on in the next sentence stays at that edge.
   */
  range(source: Range, hint: string | undefined, edges: { start: boolean; end: boolean }): Range {
    if (this.#same) return source;
    const words = this.#source.filter((w) => source.start <= w.start && w.end <= source.end);
    const target = this.#target;
    if (words.length === 0 || target.length === 0) {
      const at = this.point(source.start);
      return { start: edges.start ? 0 : at, end: edges.end ? this.translated.text.length : at };
    }
    const found = words.length === this.#source.length
      ? [0, target.length - 1] as const
      : this.#fromPairs(words) ?? this.#window(words, hint, source, edges) ??
        this.#inProportion(source);
    const [first, last] = this.#withOwnSpans(words, found);
    return this.#widened(source, {
      start: edges.start ? 0 : target[first]!.start,
      end: edges.end ? this.translated.text.length : target[last]!.end,
    });
  }

  /** The place of a point between two characters of the source. */
  point(at: number): number {
    if (this.#same) return at;
    const source = this.#source, target = this.#target;
    if (at === 0) return 0;
    if (at === this.sentence.text.length || target.length === 0) return this.translated.text.length;
    const next = source.findIndex((w) => w.start >= at);
    if (next === 0) return target[0]!.start;
    if (next === -1) return target.at(-1)!.end;
    const before = this.#pairs.get(source[next - 1]!), after = this.#pairs.get(source[next]!);
    const leans = /\s/.test(this.sentence.text[at - 1]!);
    // What clings to a word in front (a note's mark) stays behind a word: behind the one before the next.
    const clings = !leans && /\s/.test(this.sentence.text[at] ?? "");
    if (after !== undefined && before === undefined && clings) {
      const index = target.indexOf(after);
      return index > 0 ? target[index - 1]!.end : after.start;
    }
    if (after !== undefined && (leans || before === undefined)) return after.start;
    if (before !== undefined) return before.end;
    const expected = this.#expected(at);
    return nearest(target.map((w) => leans ? w.start : w.end), expected);
  }

  /** Spans are paired; so are words that both sentences have once. */
  #pairWords(): void {
    const once = (words: readonly Word[]) => {
      const counts = new Map<string, Word | undefined>();
      for (const w of words) {
        if (w.key.length > 1) counts.set(w.key, counts.has(w.key) ? undefined : w);
      }
      return counts;
    };
    const bySpan = new Map(this.#target.filter((w) => w.span).map((w) => [w.span, w]));
    const target = once(this.#target), source = once(this.#source);
    for (const word of this.#source) {
      const other = word.span === undefined
        ? source.get(word.key) === word ? target.get(word.key) : undefined
        : bySpan.get(word.span);
      if (other !== undefined) this.#pairs.set(word, other);
    }
  }

  /** Words that are all paired stand where their partners do, if those are together. */
  #fromPairs(words: readonly Word[]): readonly [number, number] | undefined {
    const partners = words.map((w) => this.#pairs.get(w));
    if (partners.some((p) => p === undefined)) return undefined;
    const wanted = new Set(partners);
    const first = this.#target.findIndex((w) => wanted.has(w));
    const last = this.#target.findLastIndex((w) => wanted.has(w));
    return last - first < 2 * words.length ? [first, last] : undefined;
  }

  /** The window of the translation that has most in common with the hint. */
  #window(
    words: readonly Word[],
    hint: string | undefined,
    source: Range,
    edges: { start: boolean; end: boolean },
  ): readonly [number, number] | undefined {
    const target = this.#target;
    if (hint === undefined || target.length > MAX_WORDS) return undefined;
    const wanted = wordsOf(hint, []).map((w) => w.key);
    const spans = new Set(words.map((w) => w.span).filter((s) => s !== undefined));
    const size = wanted.length + spans.size;
    if (size === 0) return undefined;
    const classes = target.map((w) =>
      w.span !== undefined
        ? (spans.has(w.span) ? w.span : undefined)
        : wanted.find((h) => h === w.key) ?? wanted.find((h) => alike(h, w.key))
    );
    const expected = this.#expected((source.start + source.end) / 2);
    const length = Math.max(1, this.translated.text.length);
    let best: readonly [number, number] | undefined, bestScore = LEAST_SCORE;
    for (let first = 0; first < (edges.start ? 1 : target.length); first++) {
      if (!edges.start && classes[first] === undefined) continue;
      const left = new Map<unknown, number>();
      for (const h of [...wanted, ...spans]) left.set(h, (left.get(h) ?? 0) + 1);
      let matched = 0;
      const until = edges.end ? target.length : Math.min(target.length, first + 2 * size + 2);
      for (let last = first; last < until; last++) {
        const c = classes[last];
        if (c !== undefined && (left.get(c) ?? 0) > 0) {
          left.set(c, left.get(c)! - 1);
          matched++;
        } else if (!edges.end) continue;
        if (edges.end && last < target.length - 1) continue;
        const centre = (target[first]!.start + target[last]!.end) / 2;
        const score = 2 * matched / (size + last - first + 1) -
          DISTANCE_WEIGHT * Math.abs(centre - expected) / length;
        if (score > bestScore) [best, bestScore] = [[first, last], score];
      }
    }
    return best;
  }

  /** The range with the spans that belong to it, and without others where they are at its side. */
  #withOwnSpans(
    words: readonly Word[],
    range: readonly [number, number],
  ): readonly [number, number] {
    const own = new Set(words.map((w) => w.span).filter((s) => s !== undefined));
    const target = this.#target;
    let [first, last] = range;
    const places = target.flatMap((w, i) => w.span !== undefined && own.has(w.span) ? [i] : []);
    const low = places[0], high = places.at(-1);
    if (low !== undefined && high !== undefined) {
      first = Math.min(first, low);
      last = Math.max(last, high);
    }
    const isOther = (i: number) => target[i]!.span !== undefined && !own.has(target[i]!.span!);
    for (let i = first; i <= last; i++) {
      if (!isOther(i)) continue;
      const keepsLeft = high !== undefined ? high < i : i - first > last - i;
      if (keepsLeft && i > first) last = i - 1;
      else if (low === undefined ? i < last : i < low) first = i + 1;
    }
    return [first, Math.max(first, last)];
  }

  /** The words nearest to where the range would be if everything kept its proportion. */
  #inProportion(source: Range): readonly [number, number] {
    const target = this.#target;
    const start = this.#expected(source.start), end = this.#expected(source.end);
    const first = indexOfNearest(target.map((w) => w.start), Math.min(start, end));
    const last = indexOfNearest(target.map((w) => w.end), Math.max(start, end));
    return [Math.min(first, last), Math.max(first, last)];
  }

  /** Where a source position falls, in proportion between the nearest known places. */
  #expected(at: number): number {
    let left = this.#known[0]!, right = this.#known.at(-1)!;
    for (const known of this.#known) {
      if (known[0] <= at && known[0] >= left[0]) left = known;
      if (known[0] >= at && known[0] < right[0]) right = known;
    }
    if (right[1] < left[1]) [left, right] = [this.#known[0]!, this.#known.at(-1)!];
    if (right[0] === left[0]) return left[1];
    return left[1] + (right[1] - left[1]) * (at - left[0]) / (right[0] - left[0]);
  }

  /** Takes in punctuation at an edge, no more of it than the source's range has there. */
  #widened(source: Range, range: Range): Range {
    const { text, spans } = this.sentence, out = this.translated;
    const isFreeMark = (text: string, spans: readonly Range[], at: number) =>
      MARK.test(text[at] ?? "") && spans.every((s) => at < s.start || s.end <= at);
    const goes = (at: number) => isFreeMark(out.text, out.spans, at);
    let { start, end } = range;
    for (let at = source.start; at < source.end && isFreeMark(text, spans, at); at++) {
      if (start > 0 && goes(start - 1)) start--;
    }
    for (let at = source.end - 1; at >= source.start && isFreeMark(text, spans, at); at--) {
      if (goes(end)) end++;
    }
    return { start, end };
  }
}

/** A character that is neither white space nor part of a word. */
const MARK = /[^\s\p{L}\p{N}\p{M}_]/u;

function indexOfNearest(places: readonly number[], at: number): number {
  let best = 0;
  for (const [i, place] of places.entries()) {
    if (Math.abs(place - at) < Math.abs(places[best]! - at)) best = i;
  }
  return best;
}

function nearest(places: readonly number[], at: number): number {
  return places[indexOfNearest(places, at)]!;
}
