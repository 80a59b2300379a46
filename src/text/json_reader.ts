/** Reads the JSON of a tokenizer from its bytes, value by value: a large file need never be one tree of objects. */
import { errorText, MoqeError } from "../base/errors.ts";

export const [COMMA, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT] = [0x2c, 0x5b, 0x5d, 0x7b] as const;
const [QUOTE, BACKSLASH, COLON, CLOSE_OBJECT] = [0x22, 0x5c, 0x3a, 0x7d] as const;
const SPACES = new Set([0x20, 0x09, 0x0a, 0x0d]);
const ENDS = new Set<number | undefined>([...SPACES, COMMA, CLOSE_LIST, CLOSE_OBJECT, undefined]);

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A place in a file of JSON. Every method throws MoqeError `corrupt` where the file has something else. */
export class JsonReader {
  at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  /** Where the next value or mark begins. */
  next(): number {
    while (SPACES.has(this.bytes[this.at]!)) this.at++;
    return this.at;
  }

  /** Passes a mark, if it is the next. */
  take(mark: number): boolean {
    const isNext = this.bytes[this.next()] === mark;
    if (isNext) this.at++;
    return isNext;
  }

  /** Passes a mark, which must be the next. */
  need(mark: number): void {
    if (!this.take(mark)) throw this.#fault(`there must be ${String.fromCharCode(mark)}`);
  }

  /** The keys of an object whose brace is passed; whoever asks reads each value before the next key. */
  *keys(): Generator<string> {
    if (this.take(CLOSE_OBJECT)) return;
    do {
      const key = this.text();
      this.need(COLON);
      yield key;
    } while (this.take(COMMA));
    this.need(CLOSE_OBJECT);
  }

  /** Comes before each value of a list, which is to be read then. */
  *items(): Generator<void> {
    this.need(OPEN_LIST);
    if (this.take(CLOSE_LIST)) return;
    do yield; while (this.take(COMMA));
    this.need(CLOSE_LIST);
  }

  /** A text. */
  text(): string {
    const start = this.next();
    const isPlain = this.#passText();
    try {
      return isPlain
        ? utf8.decode(this.bytes.subarray(start + 1, this.at - 1))
        : JSON.parse(utf8.decode(this.bytes.subarray(start, this.at)));
    } catch (cause) {
      throw this.#fault(errorText(cause));
    }
  }

  /** A number. */
  number(): number {
    const start = this.next();
    this.skip();
    const text = utf8.decode(this.bytes.subarray(start, this.at));
    if (!/^-?\d+(\.\d+)?([eE][-+]?\d+)?$/.test(text)) throw this.#fault("there must be a number");
    return Number(text);
  }

  /** Passes a value of any kind. What is in it is not checked. */
  skip(): void {
    const start = this.next();
    let depth = 0;
    do {
      const byte = this.bytes[this.next()];
      if (byte === undefined) throw this.#fault("it ends in the middle of a value");
      if (byte === QUOTE) {
        this.#passText();
        continue;
      }
      if (byte === OPEN_LIST || byte === OPEN_OBJECT) depth++;
      else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth--;
      else if (depth === 0) {
        while (!ENDS.has(this.bytes[this.at])) this.at++;
        break;
      }
      this.at++;
    } while (depth > 0);
    if (this.at === start) throw this.#fault("there must be a value");
  }

  /** Passes a text; returns whether it has no escapes. */
  #passText(): boolean {
    this.need(QUOTE);
    let isPlain = true;
    for (let byte = this.bytes[this.at]; byte !== QUOTE; byte = this.bytes[this.at]) {
      if (byte === undefined) throw this.#fault("it ends in the middle of a text");
      if (byte === BACKSLASH) isPlain = false;
      this.at += byte === BACKSLASH ? 2 : 1;
    }
    this.at++;
    return isPlain;
  }

  #fault(rule: string): MoqeError {
    return faulty(`${rule} at byte ${this.at} of what is read`);
  }
}

/** The error for a tokenizer.json that is not what it says. */
export function faulty(rule: string, observed?: string): MoqeError {
  return new MoqeError("corrupt", {
    action: "read the model's tokenizer.json",
    rule,
    observed,
    remedy: "pack the model anew, from a checkpoint whose tokenizer.json is whole",
  });
}
