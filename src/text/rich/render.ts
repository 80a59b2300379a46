/** Writes a segment's translation: sentences in their places, tags over the words they were over, escaped. */
import { Alignment, type Range } from "./align.ts";
import { oneLine, type Placed, type Sentence, type Translated } from "./attempts.ts";
import { isLink } from "./rows.ts";
import type { Segment } from "./segment.ts";
import { type LaidNode, layOut, type TagNode, tagTree } from "./tree.ts";
import type { View, ViewPart } from "./view.ts";
import { Writer } from "./writer.ts";

/** A sentence of a view with its index among the view's parts. */
export interface ViewSentence extends Sentence {
  readonly part: number;
}

/** The sentences of a view, with their spans. */
export function sentencesOf(view: View): ViewSentence[] {
  const sentences: ViewSentence[] = [];
  let next = 0;
  for (const [part, { start, end, translate }] of view.parts.entries()) {
    const spans = [];
    while (next < view.spans.length && view.spans[next]!.start < end) {
      const span = view.spans[next++]!;
      spans.push({ ...span, start: span.start - start, end: span.end - start });
    }
    if (translate) sentences.push({ part, text: view.text.slice(start, end), spans });
  }
  return sentences;
}

/** Texts whose own translations show where an element's words went: the element's part of a sentence. */
export function hintTexts(view: View): string[] {
  if (view.text === "") return [];
  const texts = new Set<string>();
  const visit = (nodes: readonly TagNode[]) => {
    for (const node of nodes) {
      for (const part of edgeParts(view, node)) {
        const text = hintText(view, view.parts[part]!, node);
        if (text !== undefined) texts.add(text);
      }
      visit(node.children);
    }
  };
  visit(tagTree(view.points));
  return [...texts];
}

/** The first and the last part that an element's text is in. */
function edgeParts(view: View, node: Range): number[] {
  let first = partAt(view.parts, node.start, true), last = partAt(view.parts, node.end, false);
  if (node.start === node.end) return [first];
  // A symbol or a space at its ends says nothing of where its words are.
  const isBlank = ({ start, end, translate }: ViewPart) =>
    !translate && !/[\p{L}\p{N}]/u.test(view.text.slice(start, end));
  while (first < last && isBlank(view.parts[first]!)) first++;
  while (last > first && isBlank(view.parts[last]!)) last--;
  return [...new Set([first, Math.max(first, last)])];
}

function hintText(view: View, part: ViewPart, node: Range): string | undefined {
  if (!part.translate || node.start === node.end) return undefined;
  const start = Math.max(part.start, node.start), end = Math.min(part.end, node.end);
  const text = oneLine(view.text.slice(start, end)).trim();
  const whole = view.text.slice(part.start, part.end).trim().length;
  return /\p{L}/u.test(text) && text.length < whole ? text : undefined;
}

/** The part that holds a position: the one that begins there for a start, that ends there for an end. */
function partAt(parts: readonly ViewPart[], at: number, isStart: boolean): number {
  let low = 0, high = parts.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    const { end } = parts[middle]!;
    if (isStart ? end <= at : end < at) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low);
}

/** What a part became, and where in the segment's translation it begins. */
interface DonePart {
  readonly base: number;
  readonly text: string;
  readonly alignment: Alignment | undefined;
}

/** A span's place in the translation and where it was in the view. */
interface RenderedSpan extends Placed {
  readonly source: number;
}

/**
 * Writes the segment; undefined where a kept span would come to stand in other elements than it was in. `sentences` are
 * the very ones that were translated, as spans are told apart by identity; `translated` is by index of part, `hints` by
 * hint text.
 */
export function render(
  segment: Segment,
  view: View,
  sentences: readonly ViewSentence[],
  translated: ReadonlyMap<number, Translated>,
  hints: ReadonlyMap<string, string>,
): string | undefined {
  const done: DonePart[] = [], spans: RenderedSpan[] = [];
  const byPart = new Map(sentences.map((s) => [s.part, s]));
  let text = "", nextSpan = 0;
  for (const [i, part] of view.parts.entries()) {
    const base = text.length, result = translated.get(i);
    const source = view.text.slice(part.start, part.end);
    const own = result?.spans ?? identical(view, part, nextSpan);
    while (nextSpan < view.spans.length && view.spans[nextSpan]!.end <= part.end) nextSpan++;
    const needsPlaces = result !== undefined && view.points.length > 0;
    const alignment = needsPlaces ? new Alignment(byPart.get(i)!, result) : undefined;
    for (const { start, end, span } of own) {
      // Spans of a sentence are counted from its start, those of the view from the view's.
      const source = result === undefined ? span.start : part.start + span.start;
      spans.push({ start: base + start, end: base + end, span, source });
    }
    text += result?.text ?? source;
    done.push({ base, text: result?.text ?? source, alignment });
  }
  const wish = (node: TagNode) => {
    const range = outOfSpans(wished(view, done, node, hints), spans);
    return node.start === node.end ? outOfBrackets(range, view.text[node.start], text) : range;
  };
  const laid = layOut(tagTree(view.points), { start: 0, end: text.length }, wish);
  return keepsSpans(laid, spans) && laid.every((node) => keepsWords(node, view.text, text))
    ? new Writer(segment, view, text, spans).write(laid)
    : undefined;
}

/** Spans of a part that is not translated, from the view's span `next` on. */
function identical(view: View, part: ViewPart, next: number): Placed[] {
  const placed: Placed[] = [];
  for (let i = next; i < view.spans.length && view.spans[i]!.end <= part.end; i++) {
    const span = view.spans[i]!;
    placed.push({ start: span.start - part.start, end: span.end - part.start, span });
  }
  return placed;
}

/** Where a node would best be in the segment's translation. */
function wished(
  view: View,
  done: readonly DonePart[],
  node: TagNode,
  hints: ReadonlyMap<string, string>,
): Range {
  if (view.parts.length === 0) return { start: 0, end: 0 };
  const [first, last = first] = edgeParts(view, node) as [number, number?];
  const from = Math.max(node.start, view.parts[first]!.start);
  const to = Math.max(from, Math.min(node.end, view.parts[last]!.end));
  const start = edge(first).start;
  return { start, end: node.start === node.end ? start : Math.max(start, edge(last).end) };

  function edge(i: number): Range {
    const part = view.parts[i]!, { base, alignment } = done[i]!;
    const inPart = (at: number) => Math.min(Math.max(at, part.start), part.end) - part.start;
    const source = { start: inPart(node.start), end: inPart(node.end) };
    if (alignment === undefined) return { start: base + source.start, end: base + source.end };
    if (node.start === node.end) {
      const at = base + alignment.point(source.start);
      return { start: at, end: at };
    }
    const text = hintText(view, part, node);
    const hint = text === undefined ? undefined : hints.get(text);
    const found = alignment.range(trimmed(view.text, part, source), hint, {
      start: from < part.start || source.start === 0 && first !== last && i === last,
      end: to > part.end,
    });
    return { start: base + found.start, end: base + found.end };
  }
}

/** A range of a part without white space at its ends. */
function trimmed(text: string, part: ViewPart, { start, end }: Range): Range {
  const slice = text.slice(part.start + start, part.start + end);
  if (slice.trim() === "") return { start, end };
  return {
    start: start + slice.length - slice.trimStart().length,
    end: end - (slice.length - slice.trimEnd().length),
  };
}

/** Whether every element has the spans that it had, and no other; numbers, symbols and terms may move. */
function keepsSpans(laid: readonly LaidNode[], spans: readonly RenderedSpan[]): boolean {
  const bound = spans.filter(({ span: { kind } }) => !/^(?:number|symbol|term)$/.test(kind));
  const check = ({ node, start, end, children }: LaidNode): boolean =>
    bound.every((s) =>
      (node.start <= s.source && s.source < node.end) === (start <= s.start && s.end <= end)
    ) &&
    children.every(check);
  return bound.length === 0 || laid.every(check);
}

/** Whether no link lost its words: nobody could see it. */
function keepsWords(
  { node, start, end, children }: LaidNode,
  source: string,
  text: string,
): boolean {
  const isWord = (of: string) => /[\p{L}\p{N}]/u.test(of);
  const isLost = isLink(node.open) && isWord(source.slice(node.start, node.end)) &&
    !isWord(text.slice(start, end));
  return !isLost && children.every((child) => keepsWords(child, source, text));
}

/** A range that begins and ends in no kept span. */
function outOfSpans(range: Range, spans: readonly Placed[]): Range {
  const inside = (at: number) => spans.find((s) => s.start < at && at < s.end);
  return {
    start: inside(range.start)?.start ?? range.start,
    end: inside(range.end)?.end ?? range.end,
  };
}

/** A point with a space behind it stands before a bracket or quote that the word there begins with. */
function outOfBrackets(range: Range, behind: string | undefined, text: string): Range {
  if (!/\s/.test(behind ?? "")) return range;
  let at = range.start;
  while (/[\p{Ps}\p{Pi}"'¿¡]/u.test(text[at - 1] ?? "")) at--;
  // An apostrophe inside a word opens nothing.
  return at === 0 || /\s/.test(text[at - 1]!) ? { start: at, end: at } : range;
}
