/** HTML to events by htmlparser2's tokenizer: it takes whatever there is and its work is linear. */
import { QuoteType, Tokenizer, type TokenizerCallbacks } from "htmlparser2";
import type { MarkupAttribute, MarkupEvent } from "./events.ts";

const VOID = new Set(
  "area base basefont bgsound br col embed frame hr image img input keygen link meta param source track wbr"
    .split(" "),
);

/** The events of a document or of a piece of one. */
export function htmlEvents(text: string): MarkupEvent[] {
  const reader = new Reader(text);
  const tokenizer = new Tokenizer({ xmlMode: false, decodeEntities: false }, reader);
  tokenizer.write(text);
  tokenizer.end();
  return reader.finish();
}

class Reader implements TokenizerCallbacks {
  readonly #events: MarkupEvent[] = [];
  #end = 0;
  #name = { start: 0, end: 0 };
  #attributes: MarkupAttribute[] = [];
  #attribute = { name: "", start: 0, end: 0, seen: false };
  #foreign = 0;

  constructor(private readonly text: string) {}

  finish(): MarkupEvent[] {
    this.#until(this.text.length);
    return this.#events;
  }

  isInForeignContext(): boolean {
    return this.#foreign > 0;
  }

  ontext(start: number, end: number): void {
    this.#until(start);
    const last = this.#events.at(-1);
    if (last?.kind === "text" && last.end === start) {
      this.#events[this.#events.length - 1] = { ...last, end };
    } else this.#events.push({ kind: "text", start, end });
    this.#end = end;
  }

  onopentagname(start: number, end: number): void {
    this.#name = { start, end };
    this.#attributes = [];
  }

  onattribname(start: number, end: number): void {
    this.#attribute = {
      name: this.text.slice(start, end).toLowerCase(),
      start: end,
      end,
      seen: false,
    };
  }

  onattribdata(start: number, end: number): void {
    if (!this.#attribute.seen) this.#attribute.start = start;
    this.#attribute.seen = true;
    this.#attribute.end = end;
  }

  onattribend(quote: QuoteType): void {
    const { name, start, end, seen } = this.#attribute;
    const quoted = quote === QuoteType.Single || quote === QuoteType.Double;
    if (seen) this.#attributes.push({ name, start, end, quoted });
  }

  onopentagend(end: number): void {
    this.#open(end + 1, false);
  }

  onselfclosingtag(end: number): void {
    this.#open(end + 1, true);
  }

  onclosetag(start: number, end: number): void {
    const close = this.text.indexOf(">", end);
    this.#until(start - 2);
    const name = this.text.slice(start, end).toLowerCase();
    if (isForeign(name)) this.#foreign = Math.max(0, this.#foreign - 1);
    this.#end = close === -1 ? this.text.length : close + 1;
    this.#events.push({ kind: "close", start: start - 2, end: this.#end, name });
  }

  onattribentity(): void {}
  ontextentity(): void {}
  oncdata(): void {}
  oncomment(): void {}
  ondeclaration(): void {}
  onprocessinginstruction(): void {}
  onend(): void {}

  #open(end: number, selfClosing: boolean): void {
    const start = this.#name.start - 1;
    this.#until(start);
    const name = this.text.slice(this.#name.start, this.#name.end).toLowerCase();
    const empty = VOID.has(name) || selfClosing && (this.#foreign > 0 || isForeign(name));
    if (isForeign(name) && !empty) this.#foreign++;
    this.#events.push({ kind: "open", start, end, name, empty, attributes: this.#attributes });
    this.#end = end;
  }

  /** What the tokenizer passed over without a word is kept. */
  #until(start: number): void {
    if (start > this.#end) this.#events.push({ kind: "other", start: this.#end, end: start });
    this.#end = Math.max(this.#end, start);
  }
}

function isForeign(name: string): boolean {
  return name === "svg" || name === "math";
}
