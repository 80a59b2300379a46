/** HTML among Markdown: where an element of inline tags ends, and one that has blocks of Markdown inside. */
import { htmlEvents } from "../markup/html.ts";
import type { MarkupRules } from "../markup/rules.ts";
import type { parser } from "./markdown_parser.ts";

export type Node = ReturnType<ReturnType<typeof parser.parse>["cursor"]>["node"];

/** A range of the text. */
interface Range {
  readonly start: number;
  readonly end: number;
}

/** What a tag of HTML opens or closes; undefined where it does neither. */
export function tagOf(raw: string): { name: string; isOpen: boolean } | undefined {
  const tag = /^<(\/?)([A-Za-z][\w-]*)[^]*?(\/?)>$/.exec(raw);
  if (tag === null || tag[3] === "/") return undefined;
  return { name: tag[2]!.toLowerCase(), isOpen: tag[1] === "" };
}

/** The tag that ends the element which `open` begins, beside it. */
export function closingTag(open: Node, text: string): Node | undefined {
  const name = tagOf(text.slice(open.from, open.to))?.name;
  let depth = 1;
  for (let node = open.nextSibling; node !== null; node = node.nextSibling) {
    const tag = node.name === "HTMLTag" ? tagOf(text.slice(node.from, node.to)) : undefined;
    if (tag === undefined || tag.name !== name) continue;
    depth += tag.isOpen ? 1 : -1;
    if (depth === 0) return node;
  }
  return undefined;
}

/**
 * Elements that are kept and go on behind the block of HTML that begins them: a <div translate="no">, a blank line, a
 * paragraph. What is found of a parent's blocks is remembered, so that all of a text takes one pass.
 */
export class KeptElements {
  readonly #ends = new Map<string, ReadonlyMap<number, number>>();

  constructor(private readonly text: string, private readonly rules: MarkupRules) {}

  /** The first that begins in an HTML block, at or behind `from`, and ends behind it. */
  beyond(block: Node, from: number): Range | undefined {
    const html = this.text.slice(from, block.to);
    let at = 0;
    for (const event of htmlEvents(html)) {
      if (event.kind !== "open" || event.empty || event.start < at) continue;
      if (!this.rules.role(event, html, true).startsWith("kept")) continue;
      const start = from + event.start, end = this.#endsIn(block.parent!).get(start);
      if (end === undefined) continue;
      if (end > block.to) return { start, end };
      at = end - from;
    }
    return undefined;
  }

  /** Where the elements end that the HTML blocks of a parent begin, by where they begin. */
  #endsIn(parent: Node): ReadonlyMap<number, number> {
    const key = `${parent.from} ${parent.to} ${parent.name}`;
    const known = this.#ends.get(key);
    if (known !== undefined) return known;
    const ends = new Map<number, number>(), open = new Map<string, number[]>();
    for (const block of parent.getChildren("HTMLBlock")) {
      for (const event of htmlEvents(this.text.slice(block.from, block.to))) {
        if (event.kind === "open" && !event.empty) {
          const starts = open.get(event.name) ?? [];
          starts.push(block.from + event.start);
          open.set(event.name, starts);
        } else if (event.kind === "close") {
          const start = open.get(event.name)?.pop();
          if (start !== undefined) ends.set(start, block.from + event.end);
        }
      }
    }
    this.#ends.set(key, ends);
    return ends;
  }
}
