/** Events to segments: text that belongs together with its inline tags, and the bytes between. */
import type { SplitSentences } from "../documents/contract.ts";
import { rawOf, type RichItem, type Segment } from "../rich/segment.ts";
import type { MarkupEvent } from "./events.ts";
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
    const roles = new Map<string, Role[]>();
    for (let i = 0; i < events.length; i++) {
      const event = events[i]!, raw = text.slice(event.start, event.end);
      if (event.kind === "text") {
        for (const item of this.options.codec.items(raw)) this.#items.push(item);
      } else if (event.kind === "other") this.#items.push(this.options.codec.other(raw));
      else if (event.kind === "close") {
        const role = roles.get(event.name)?.pop() ??
          this.options.rules.role(
            { ...event, kind: "open", empty: false, attributes: [] },
            text,
            true,
          );
        this.#close(event.name, raw, role);
      } else {
        const role = this.options.rules.role(event, text, this.#mixed.has(i));
        if (role.startsWith("kept")) {
          i = this.#kept(i, role);
          continue;
        }
        if (!event.empty) push(roles, event.name, role);
        this.#open(event, role);
      }
    }
    this.#flush();
    return this.#parts;
  }

  #open(event: OpenEvent, role: Role): void {
    const raw = this.options.tag(event);
    if (role === "block") {
      this.#flush();
      this.#parts.push(raw);
      if (isPreformatted(event.name)) this.#preformatted++;
    } else if (event.empty) this.#items.push({ kind: "atom", raw, shown: "" });
    else this.#items.push({ kind: "loose", raw, name: event.name, isOpen: true });
  }

  #close(name: string, raw: string, role: Role): void {
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
    let last = first, depth = open.empty ? 0 : 1;
    while (depth > 0 && last + 1 < this.events.length) {
      const event = this.events[++last]!;
      if (event.kind === "close" && event.name === open.name) depth--;
      if (event.kind === "open" && event.name === open.name && !event.empty) depth++;
    }
    const raw = this.text.slice(open.start, this.events[last]!.end);
    if (role === "kept-block") {
      this.#flush();
      this.#parts.push(raw);
      return last;
    }
    const shown = this.events.slice(first, last)
      .filter((e) => e.kind === "text")
      .flatMap((e) => this.options.codec.items(this.text.slice(e.start, e.end)))
      .map((item) => item.kind === "text" ? item.text : item.kind === "atom" ? item.shown : "")
      .join("").replace(/\s+/g, " ").trim();
    this.#items.push({ kind: "atom", raw, shown, span: "kept" });
    return last;
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

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
