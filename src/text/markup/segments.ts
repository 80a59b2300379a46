/** Events to segments: text that belongs together with its inline tags, and the bytes between. */
import type { SplitSentences } from "../documents/contract.ts";
import { rawOf, type RichItem, type Segment } from "../rich/segment.ts";
import type { MarkupEvent } from "./events.ts";
import { endsWithParent, OpenElements } from "./open_elements.ts";
import type { MarkupRules, Role } from "./rules.ts";
import type { TextCodec } from "./text.ts";

type OpenEvent = Extract<MarkupEvent, { kind: "open" }>;

export interface SegmenterOptions {
  readonly rules: MarkupRules;
  readonly codec: TextCodec;
  readonly splitSentences: SplitSentences;
  /** The bytes of an open tag: with its attributes translated. */
  tag(event: OpenEvent): string;
}

/** The text as bytes to keep and segments to translate, in order. */
export function markupParts(
  text: string,
  events: readonly MarkupEvent[],
  options: SegmenterOptions,
): (string | Segment)[] {
  const segmenter = new Segmenter(text, events, options);
  return segmenter.all();
}

/** A tag whose partner is not known yet. */
export interface LooseItem {
  readonly kind: "loose";
  readonly raw: string;
  readonly name: string;
  readonly isOpen: boolean;
}

class Segmenter {
  readonly #parts: (string | Segment)[] = [];
  readonly #mixed: ReadonlySet<number>;
  readonly #open = new OpenElements<Role>();
  #items: (RichItem | LooseItem)[] = [];
  /** Elements that are open and not inline, by name; `pre` and `textarea` keep their lines. */
  #preformatted = 0;

  constructor(
    private readonly text: string,
    private readonly events: readonly MarkupEvent[],
    private readonly options: SegmenterOptions,
  ) {
    this.#mixed = options.rules.kind === "xml" ? mixedElements(text, events) : new Set();
  }

  all(): (string | Segment)[] {
    const { events, text } = this;
    for (let i = 0; i < events.length; i++) {
      const event = events[i]!, raw = text.slice(event.start, event.end);
      if (event.kind === "text") {
        for (const item of this.options.codec.items(raw)) this.#items.push(item);
      } else if (event.kind === "other") this.#items.push(this.options.codec.other(raw));
      else if (event.kind === "close") {
        const role = this.#open.close(event.name) ??
          this.options.rules.role(
            { ...event, kind: "open", empty: false, attributes: [] },
            text,
            true,
          );
        this.#closed(event.name, raw, role);
      } else {
        const role = this.options.rules.role(event, text, this.#mixed.has(i));
        if (role.startsWith("kept")) {
          i = this.#kept(i, role);
          continue;
        }
        if (!event.empty) this.#open.push(event.name, role);
        this.#opened(event, role);
      }
    }
    this.#flush();
    return this.#parts;
  }

  #opened(event: OpenEvent, role: Role): void {
    const raw = this.options.tag(event);
    if (role === "block") {
      this.#flush();
      this.#parts.push(raw);
      if (isPreformatted(event.name)) this.#preformatted++;
    } else if (event.empty) this.#items.push({ kind: "atom", raw, shown: "" });
    else this.#items.push({ kind: "loose", raw, name: event.name, isOpen: true });
  }

  #closed(name: string, raw: string, role: Role): void {
    if (role === "inline") {
      return void this.#items.push({ kind: "loose", raw, name, isOpen: false });
    }
    this.#flush();
    this.#parts.push(raw);
    if (isPreformatted(name)) this.#preformatted = Math.max(0, this.#preformatted - 1);
  }

  /** An element whose content is kept, whole; returns the index of its last event. */
  #kept(first: number, role: Role): number {
    const open = this.events[first] as OpenEvent;
    const last = open.empty ? first : this.#lastInside(first, open.name);
    const raw = this.text.slice(open.start, this.events[last]!.end);
    if (role === "kept-block") {
      this.#flush();
      this.#parts.push(raw);
      return last;
    }
    const shown = this.events.slice(first, last + 1)
      .filter((e) => e.kind === "text")
      .flatMap((e) => this.options.codec.items(this.text.slice(e.start, e.end)))
      .map((item) => item.kind === "text" ? item.text : item.kind === "atom" ? item.shown : "")
      .join("").replace(/\s+/g, " ").trim();
    this.#items.push({ kind: "atom", raw, shown, span: "kept" });
    return last;
  }

  /** The index of an element's end tag, or of its last event where HTML ends it without one. */
  #lastInside(first: number, name: string): number {
    const inside = new OpenElements<true>();
    for (let i = first + 1; i < this.events.length; i++) {
      const event = this.events[i]!;
      if (event.kind === "open") {
        if (this.options.rules.kind === "html" && inside.endsParent(name, event.name)) return i - 1;
        if (!event.empty) inside.push(event.name, true);
      } else if (event.kind === "close" && !inside.close(event.name)) {
        if (event.name === name) return i;
        if (this.#open.has(event.name) && endsWithParent(name)) return i - 1;
      }
    }
    return this.events.length - 1;
  }

  /** Ends the segment. Tags without a partner in it are boundaries too: text is never moved across them. */
  #flush(): void {
    const items = paired(this.#items);
    this.#items = [];
    let run: RichItem[] = [];
    const end = () => {
      if (run.length > 0) this.#parts.push(this.#part(run));
      run = [];
    };
    for (const item of items) {
      if (item.kind === "loose") {
        end();
        this.#parts.push(item.raw);
      } else run.push(item);
    }
    end();
  }

  #part(items: readonly RichItem[]): string | Segment {
    const hasText = items.some((i) => i.kind === "text" && /\p{L}/u.test(i.text));
    if (!hasText) return rawOf(items);
    const { codec, splitSentences } = this.options;
    return {
      items,
      splitSentences: this.#preformatted > 0 ? "on" : splitSentences,
      escape: (text) => codec.escape(text),
    };
  }
}

/** Ties tags of one name together where they nest; others stay loose, and pairs that one of them would cut. */
export function paired(items: readonly (RichItem | LooseItem)[]): (RichItem | LooseItem)[] {
  const out = [...items];
  const open: number[] = [], byName = new Map<string, number>();
  let pair = 0;
  for (const [i, item] of items.entries()) {
    if (item.kind !== "loose") continue;
    const count = byName.get(item.name) ?? 0;
    if (item.isOpen) {
      open.push(i);
      byName.set(item.name, count + 1);
      continue;
    }
    if (count === 0) continue;
    // Everything opened since the partner stays loose.
    for (let top = open.pop()!;; top = open.pop()!) {
      const other = items[top] as LooseItem;
      byName.set(other.name, byName.get(other.name)! - 1);
      if (other.name !== item.name) continue;
      out[top] = { kind: "open", raw: other.raw, pair };
      out[i] = { kind: "close", raw: item.raw, pair: pair++ };
      break;
    }
  }
  return uncut(out);
}

/** A pair with a loose tag inside would be cut by it: it is loose too. */
function uncut(items: readonly (RichItem | LooseItem)[]): (RichItem | LooseItem)[] {
  const cut = new Set<number>(), open: number[] = [];
  let loose = 0;
  const looseAt: number[] = [];
  for (const item of items) {
    if (item.kind === "loose") loose++;
    if (item.kind === "open") {
      open.push(item.pair);
      looseAt.push(loose);
    } else if (item.kind === "close") {
      open.pop();
      if (looseAt.pop() !== loose) cut.add(item.pair);
    }
  }
  return items.map((item) =>
    (item.kind === "open" || item.kind === "close") && cut.has(item.pair)
      ? { kind: "loose", raw: item.raw, name: "", isOpen: item.kind === "open" }
      : item
  );
}

/** Indices of open events in whose parent text stands beside them. */
function mixedElements(text: string, events: readonly MarkupEvent[]): Set<number> {
  const mixed = new Set<number>();
  const stack: { hasText: boolean; children: number[] }[] = [{ hasText: false, children: [] }];
  const leave = () => {
    const { hasText, children } = stack.pop()!;
    if (hasText) { for (const child of children) mixed.add(child); }
  };
  for (const [i, event] of events.entries()) {
    const top = stack.at(-1)!;
    if (event.kind === "text" && /\S/.test(text.slice(event.start, event.end))) top.hasText = true;
    else if (event.kind === "open") {
      top.children.push(i);
      if (!event.empty) stack.push({ hasText: false, children: [] });
    } else if (event.kind === "close" && stack.length > 1) leave();
  }
  while (stack.length > 0) leave();
  return mixed;
}

function isPreformatted(name: string): boolean {
  return name === "pre" || name === "textarea" || name === "listing";
}
