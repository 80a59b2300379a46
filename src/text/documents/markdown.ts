/** Markdown (CommonMark, GFM) by Lezer's parser, which knows every mark's place: code, links, tables, HTML stay. */
import { decodeHTML } from "entities";
import { htmlEvents } from "../markup/html.ts";
import { MarkupRules } from "../markup/rules.ts";
import { type LooseItem, markupParts } from "../markup/segments.ts";
import { characterItem, textCodec } from "../markup/text.ts";
import { rawOf, type RichItem, type Segment } from "../rich/segment.ts";
import { endsSentence } from "../rich/tags.ts";
import type { DocumentOptions } from "./contract.ts";
import { closingTag, KeptElements, type Node, tagOf } from "./markdown_html.ts";
import { hasWords, imageOf, nested, plainPart } from "./markdown_items.ts";
import { LINE_BREAK, ownLinesEnd, withoutAttributes } from "./markdown_lines.ts";
import { MAZE, parseDocument, parser } from "./markdown_parser.ts";
import { escapeInline, guardStart, sameMarks } from "./markdown_text.ts";
import type { DocumentPart } from "./parts.ts";

/** Blocks whose content is running text. */
const TEXT_BLOCK = /^(?:Paragraph|ATXHeading\d|SetextHeading\d|TableCell|Task)$/;
/** Deeper nests of emphasis are kept as they are. */
const MAX_DEPTH = 60;

/** The parts of a Markdown text. */
export function markdownParts(text: string, options: DocumentOptions): DocumentPart[] {
  const tree = parseDocument(text);
  const reader = new Reader(text, labelsOf(text, tree.topNode), options);
  const cursor = tree.cursor();
  let more = true;
  while (more) {
    if (reader.isKept(cursor)) { /* with all that is in it */ }
    else if (TEXT_BLOCK.test(cursor.name)) reader.block(cursor.node);
    else if (cursor.name === "HTMLBlock") reader.html(cursor.node);
    else if (cursor.firstChild()) continue;
    while (!(more = cursor.nextSibling()) && cursor.parent());
  }
  return reader.finish();
}

/** Labels that links may name, as the reference definitions have them. */
function labelsOf(text: string, top: Node): Set<string> {
  const labels = new Set<string>();
  const cursor = top.cursor();
  do {
    if (cursor.name !== "LinkReference") continue;
    const label = /^\[([^\]]*)\]/.exec(text.slice(cursor.from, cursor.to))?.[1];
    if (label !== undefined) labels.add(normalLabel(label));
  } while (cursor.next());
  return labels;
}

function normalLabel(label: string): string {
  return label.trim().replace(/\s+/g, " ").toLowerCase();
}

class Reader {
  readonly #parts: DocumentPart[] = [];
  #at = 0;
  #items: (RichItem | LooseItem)[] = [];
  #pairs = 0;
  #isCell = false;
  readonly #rules: MarkupRules;
  readonly #elements: KeptElements;
  /** Where an element ends that is kept with the blocks in it. */
  #keptUntil = 0;

  constructor(
    private readonly text: string,
    private readonly labels: ReadonlySet<string>,
    private readonly options: DocumentOptions,
  ) {
    this.#rules = new MarkupRules("html", { ...options, splittingTags: [], ignoreTags: [] });
    this.#elements = new KeptElements(text, this.#rules);
  }

  /** Whether a block is in an element that is kept. */
  isKept({ to }: { readonly to: number }): boolean {
    return to <= this.#keptUntil;
  }

  finish(): DocumentPart[] {
    this.#keep(this.text.length);
    return this.#parts;
  }

  /** A block of running text: its marks at either end stay, its lines become one. */
  block(node: Node): void {
    this.#isCell = node.name === "TableCell";
    let from = node.from, to = node.to;
    const first = node.firstChild, last = node.lastChild;
    if (first !== null && /^(?:HeaderMark|TaskMarker)$/.test(first.name) && first.from === from) {
      from = first.to;
    }
    if (last !== null && last.name === "HeaderMark" && last.from > from) to = last.from;
    const line = this.text.slice(from, to);
    const content = node.name.includes("Heading") ? withoutAttributes(line) : line;
    to = from + content.length;
    if (content.trim() === "" || node.getChild(MAZE) !== null) return;
    from += content.length - content.trimStart().length;
    to -= content.length - content.trimEnd().length;
    this.#keep(from);
    from = this.#ownLines(node, from, "");
    this.#inline(node, from, to, 0);
    this.#flush(node.name.startsWith("ATX"));
    this.#keep(to);
  }

  /** A block of HTML: its texts are translated as those of a page. One with a quote's marks inside is kept. */
  html(node: Node): void {
    if (node.getChild("QuoteMark") !== null) return;
    const from = Math.max(node.from, this.#keptUntil);
    this.#keep(from);
    const kept = this.#elements.beyond(node, from), end = kept?.start ?? node.to;
    const html = this.text.slice(from, end);
    const parts = markupParts(html, htmlEvents(html), {
      rules: this.#rules,
      codec: textCodec("html"),
      splitSentences: "nonewlines",
      tag: (event) => html.slice(event.start, event.end),
    });
    for (const part of parts) this.#parts.push(typeof part === "string" ? part : plainPart(part));
    this.#at = end;
    this.#keptUntil = kept?.end ?? this.#keptUntil;
  }

  #keep(until: number): void {
    if (until > this.#at) this.#parts.push(this.text.slice(this.#at, until));
    this.#at = Math.max(this.#at, until);
  }

  /** Ends the segment at hand: after it comes what stays where it is. */
  #flush(isHeading: boolean): void {
    const items = nested(this.#items);
    this.#items = [];
    if (items.length === 0) return;
    const source = rawOf(items), isCell = this.#isCell;
    if (!items.some(hasWords)) {
      this.#parts.push(source);
      return;
    }
    const segment: Segment = {
      items,
      splitSentences: this.options.splitSentences === "off" ? "off" : "nonewlines",
      escape: (text) => escapeInline(text, isCell),
    };
    this.#parts.push({
      segment,
      source,
      text: source,
      encode(out) {
        const guarded = guardStart(out, source, isHeading);
        return sameMarks(parser, guarded, source) ? guarded : source;
      },
    });
  }

  /** Items of the inline nodes in a range. */
  #inline(node: Node, from: number, to: number, depth: number): void {
    let at = from;
    for (let child = node.firstChild; child !== null; child = child.nextSibling) {
      if (child.to <= at || child.from >= to) continue;
      at = this.#plain(at, child.from, node);
      if (child.to > at) at = this.#child(child, depth);
    }
    at = this.#plain(at, to, node);
    this.#at = Math.max(this.#at, to);
  }

  /** Text without marks; a line break with the next line's indent is a space. Returns where the text goes on. */
  #plain(from: number, to: number, node: Node): number {
    let at = from;
    while (at < to) {
      const found = LINE_BREAK.exec(this.text.slice(at, to));
      const end = found === null ? to : at + found.index;
      if (end > at) this.#items.push({ kind: "text", text: this.text.slice(at, end) });
      if (found === null) return to;
      const raw = found[0], next = end + raw.length;
      at = this.#ownLines(node, next, raw);
      if (at === next) this.#items.push({ kind: "text", text: " ", raw });
    }
    return Math.max(at, to);
  }

  /** Keeps the lines at `from` that stand for themselves, and the break before; returns where the text goes on. */
  #ownLines(node: Node, from: number, before: string): number {
    if (node.name !== "Paragraph") return from;
    const end = ownLinesEnd(this.text, from, node);
    if (end === from) return from;
    this.#flush(false);
    this.#parts.push(before + this.text.slice(from, end));
    this.#at = end;
    return end;
  }

  /** One inline node; returns where the text goes on. */
  #child(node: Node, depth: number): number {
    const { name, from, to } = node, raw = this.text.slice(from, to);
    if (name === "Escape") this.#items.push({ kind: "text", text: raw.slice(1), raw });
    else if (name === "Entity") this.#items.push(characterItem(decodeHTML(raw), raw));
    else if (name === "QuoteMark") return this.#quoteMark(raw, to);
    else if (name === "HardBreak" || name === "Link" && /^\[!\w+\]$/.test(raw)) {
      return this.#fixed(node);
    } else if (/^(?:Emphasis|StrongEmphasis|Strikethrough)$/.test(name) && depth < MAX_DEPTH) {
      this.#pair(node, node.firstChild!.to, node.lastChild!.from, depth);
    } else if (name === "Image") this.#image(node);
    else if (name === "Link" && depth < MAX_DEPTH && !raw.startsWith("[^")) {
      this.#link(node, depth);
    } else if (name === "InlineCode") {
      this.#items.push({ kind: "atom", raw, shown: raw, span: "code" });
    } else if (name === "Autolink" || name === "URL") {
      this.#items.push({ kind: "atom", raw, shown: raw, span: "url" });
    } else if (name === "HTMLTag") return this.#tag(node, raw);
    else this.#items.push({ kind: "atom", raw, shown: "" });
    return to;
  }

  /** A quote's mark at the beginning of a line is a part of the break before it, with the space behind it. */
  #quoteMark(raw: string, to: number): number {
    const end = to + (/[ \t]/.test(this.text[to] ?? "") ? 1 : 0);
    const last = this.#items.at(-1), all = raw + this.text.slice(to, end);
    const isBreak = last?.kind === "text" && /[\r\n]/.test(last.raw ?? "");
    if (isBreak) this.#items[this.#items.length - 1] = { ...last, raw: last.raw + all };
    else this.#items.push({ kind: "text", text: " ", raw: all });
    return end;
  }

  #pair(node: Node, from: number, to: number, depth: number, close?: string): void {
    const name = `mark ${this.#pairs++}`;
    this.#items.push({ kind: "loose", raw: this.text.slice(node.from, from), name, isOpen: true });
    this.#inline(node, from, to, depth + 1);
    const raw = close ?? this.text.slice(to, node.to);
    this.#items.push({ kind: "loose", raw, name, isOpen: false });
  }

  /** A tag, or the whole element where that is kept. */
  #tag(node: Node, raw: string): number {
    const tag = tagOf(raw), event = htmlEvents(raw)[0];
    const isKept = event?.kind === "open" && this.#rules.role(event, raw, true).startsWith("kept");
    if (!isKept && event !== undefined && "name" in event && endsSentence(event.name)) {
      return this.#fixed(node);
    }
    const last = isKept ? closingTag(node, this.text) : undefined;
    if (last !== undefined) {
      const all = this.text.slice(node.from, last.to);
      const shown = all.replace(/<[^<>]*>/g, "").replace(/\n[ \t>]*|\s+/g, " ").trim();
      this.#items.push({ kind: "atom", raw: all, shown, span: "kept" });
    } else if (tag === undefined) this.#items.push({ kind: "atom", raw, shown: "" });
    else this.#items.push({ kind: "loose", raw, ...tag });
    return (last ?? node).to;
  }

  /** A link's text is translated, its address and title stay; one that names its label by its text gets it written out. */
  #link(node: Node, depth: number): void {
    const marks = node.getChildren("LinkMark");
    const open = marks[0]!, end = marks[1]!;
    const tail = this.text.slice(end.from, node.to);
    const label = this.text.slice(open.to, end.from);
    const isShort = tail === "]" || tail === "][]";
    const close = isShort && this.labels.has(normalLabel(label)) ? `][${label}]` : tail;
    this.#pair(node, open.to, end.from, depth, close);
  }

  /** What stands for an image is no part of the sentence that it is in, and is translated by itself. */
  #image(node: Node): void {
    const { raw, inner } = imageOf(node, this.text, (label) => this.labels.has(normalLabel(label)));
    this.#items.push({ kind: "atom", raw, shown: "", inner });
  }

  /** Something that ends a line: what stands before and behind is not moved across it. */
  #fixed(node: Node): number {
    let end = node.to;
    const rest = /^(?:[ \t]*\r?\n)?(?:[ \t]*>)*[ \t]*/.exec(this.text.slice(end, end + 400))![0];
    if (/^(?:Link|HTMLTag)$/.test(node.name) || /\n$/.test(this.text.slice(node.from, end))) {
      end += rest.length;
    }
    this.#flush(false);
    this.#parts.push(this.text.slice(node.from, end));
    this.#at = end;
    return end;
  }
}
