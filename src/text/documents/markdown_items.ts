/** Items of Markdown's inline marks: images, pairs, HTML in a line. */
import { type LooseItem, paired } from "../markup/segments.ts";
import { type InnerText, rawOf, type RichItem, type Segment } from "../rich/segment.ts";
import { isBlankToFill } from "../rich/tags.ts";
import type { Node } from "./markdown_html.ts";
import type { DocumentPart } from "./parts.ts";

/** Whether there is something to translate. */
export function hasWords(item: RichItem): boolean {
  const text = item.kind === "text"
    ? item.text
    : item.kind === "atom"
    ? item.inner?.text
    : undefined;
  return text !== undefined && /\p{L}/u.test(text);
}

/**
 * An image's bytes, and the text in it where that is without marks and escapes. One that names its label by its text
 * gets it written out; where there is no such label it is no image to a reader.
 */
export function imageOf(
  node: Node,
  text: string,
  isLabel: (label: string) => boolean,
): { raw: string; inner: InnerText | undefined } {
  const raw = text.slice(node.from, node.to), [open, end] = node.getChildren("LinkMark");
  const label = text.slice(open!.to, end!.from), after = text.slice(end!.from, node.to);
  if (!/\p{L}/u.test(label) || MARKS.test(label)) return { raw, inner: undefined };
  const before = text.slice(node.from, open!.to);
  if (after !== "]" && after !== "][]") return { raw, inner: { before, text: label, after } };
  if (!isLabel(label)) return { raw, inner: undefined };
  const inner = { before, text: label, after: `][${label}]` };
  return { raw: before + label + inner.after, inner };
}

/** What a label is more than words with: marks, escapes, entities, lines. */
const MARKS = /[\\<`*[\]\n]|&#?\w+;|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/u;

/** Marks and tags that nest are pairs; one whose partner is missing, or across something fixed, is a point. */
export function nested(items: readonly (RichItem | LooseItem)[]): RichItem[] {
  return paired(items).map((item) =>
    item.kind !== "loose"
      ? item
      : isBlankToFill(item.raw)
      ? { kind: "atom", raw: item.raw, shown: item.raw, span: "tag" }
      : { kind: "atom", raw: item.raw, shown: "" }
  );
}

/** A text of HTML in Markdown: it is written as it is. */
export function plainPart(segment: Segment): DocumentPart {
  const source = rawOf(segment.items);
  return { segment, source, text: source, encode: (out) => out };
}
