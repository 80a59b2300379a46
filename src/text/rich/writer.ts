/** Writes a laid out translation in its format. */
import type { Placed } from "./attempts.ts";
import { escapeIcu } from "./icu.ts";
import type { Segment } from "./segment.ts";
import type { LaidNode, TagNode } from "./tree.ts";
import type { View } from "./view.ts";

/** The bytes of a segment's translation: its text escaped, spans as they are, tags where they were laid out. */
export class Writer {
  #out: string[] = [];
  #next = 0;
  /** A space that belongs behind a point, and behind the tags that end there. */
  #isOwed = false;

  readonly #escape: Segment["escape"];
  readonly #source: string;

  constructor(
    segment: Segment,
    view: View,
    private readonly text: string,
    private readonly spans: readonly Placed[],
  ) {
    this.#escape = escapeOf(segment, view);
    this.#source = view.text;
  }

  write(laid: readonly LaidNode[]): string {
    this.#nodes(laid, 0, this.text.length);
    return this.#out.join("");
  }

  #nodes(laid: readonly LaidNode[], start: number, end: number): void {
    let at = start;
    for (const { node, start: from, end: to, children } of laid) {
      this.#plain(at, from);
      if (node.start === node.end && from === to && node.close === "") {
        at = this.#point(node, from);
        continue;
      }
      this.#settle();
      this.#out.push(node.open);
      this.#nodes(children, from, to);
      this.#out.push(node.close);
      at = to;
    }
    this.#plain(at, end);
  }

  /**
   * What has no width, an image: of the spaces that were on both its sides the model saw one, or the one before it
   * stands behind it now. Returns where the text goes on.
   */
  #point({ start, open }: TagNode, at: number): number {
    const isSpace = (c: string | undefined) => /\s/.test(c ?? "");
    const isSeen = (c: string | undefined) => c !== undefined && !isSpace(c);
    const isBefore = isSpace(this.#source[start - 1]), isBehind = isSpace(this.#source[start]);
    const isApart = isBefore && isSeen(this.text[at - 1]);
    this.#settle();
    if (isApart) this.#out.push(" ");
    this.#out.push(open);
    this.#isOwed = isBehind && isSeen(this.text[at]);
    const isMoved = isApart && !isBehind && isSpace(this.text[at]);
    return isMoved && start < this.#source.length ? at + 1 : at;
  }

  #settle(): void {
    if (this.#isOwed) this.#out.push(" ");
    this.#isOwed = false;
  }

  /** Text between two tags: kept spans to the byte, the rest escaped. No span crosses a tag. */
  #plain(start: number, end: number): void {
    let at = start;
    if (end > start) this.#settle();
    while (this.#next < this.spans.length && this.spans[this.#next]!.start < end) {
      const { start: from, end: to, span } = this.spans[this.#next++]!;
      if (from > at) this.#out.push(this.#escape(this.text.slice(at, from)));
      this.#out.push(span.raw);
      at = to;
    }
    if (end > at) this.#out.push(this.#escape(this.text.slice(at, end)));
  }
}

/** Beside an ICU argument an apostrophe before a brace would quote it: l'{n, plural, ...}. */
function escapeOf(segment: Segment, { spans, text }: View): Segment["escape"] {
  const isIcu = spans.some((s) => s.icu !== undefined) && !/'[{}#|]/.test(text);
  return isIcu ? (out) => segment.escape(escapeIcu(out)) : (out) => segment.escape(out);
}
