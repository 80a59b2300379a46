/**
 * A strict parser of safetensors headers: exactly the JSON that they may hold, nothing else. JSON.parse would
 * drop duplicate keys silently, round long numbers, and build an object tree beside our own table.
 */

/** One entry of a header as it was written; nothing about it is checked yet but its form. */
export interface RawEntry {
  name: string;
  dtype: string;
  shape: number[];
  begin: number;
  end: number;
}

/** Raised for text that is no header; the caller adds the file. */
export class HeaderSyntaxError extends Error {}

/** Dimensions beyond this many belong to no tensor of ours. */
const MAX_DIMENSIONS = 8;

/** Parses a header's text. `maxEntries` bounds the work. Throws HeaderSyntaxError. */
export function parseHeaderText(text: string, maxEntries: number): RawEntry[] {
  const scan = new Scanner(text);
  const entries: RawEntry[] = [];
  const names = new Set<string>();
  scan.object((name) => {
    if (names.has(name)) scan.fail(`${quote(name)} is listed twice`);
    names.add(name);
    if (name === "__metadata__") return scan.object(() => void scan.string());
    if (entries.length >= maxEntries) scan.fail(`there are more than ${maxEntries} tensors`);
    entries.push(readEntry(scan, name));
  });
  scan.end();
  return entries;
}

function readEntry(scan: Scanner, name: string): RawEntry {
  let dtype: string | undefined, shape: number[] | undefined, offsets: number[] | undefined;
  scan.object((key) => {
    if (key === "dtype" && dtype === undefined) dtype = scan.string();
    else if (key === "shape" && shape === undefined) shape = scan.integers(MAX_DIMENSIONS);
    else if (key === "data_offsets" && offsets === undefined) offsets = scan.integers(2);
    else scan.fail(`${quote(name)} has an unknown or repeated field ${quote(key)}`);
  });
  if (dtype === undefined || shape === undefined || offsets?.length !== 2) {
    return scan.fail(`${quote(name)} lacks dtype, shape or data_offsets`);
  }
  return { name, dtype, shape, begin: offsets[0]!, end: offsets[1]! };
}

/** A string from a file, made safe to print. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}...` : text);
}

const QUOTE = 34, BACKSLASH = 92, COMMA = 44, COLON = 58, OPEN = 123, CLOSE = 125;
const OPEN_LIST = 91, CLOSE_LIST = 93, MINUS = 45, ZERO = 48, NINE = 57;

class Scanner {
  #at = 0;

  constructor(readonly text: string) {}

  fail(rule: string): never {
    throw new HeaderSyntaxError(`${rule} (at character ${this.#at})`);
  }

  /** Calls `field` with each key; it must read the value. */
  object(field: (key: string) => void): void {
    this.#expect(OPEN, "{");
    if (this.#taken(CLOSE)) return;
    do {
      const key = this.string();
      this.#expect(COLON, ":");
      field(key);
    } while (this.#taken(COMMA));
    this.#expect(CLOSE, "}");
  }

  string(): string {
    this.#expect(QUOTE, "a string");
    const start = this.#at;
    let escaped = false;
    for (;;) {
      const c = this.text.charCodeAt(this.#at);
      if (Number.isNaN(c) || c < 32) this.fail("a string does not end");
      if (c === QUOTE) break;
      if (c === BACKSLASH) {
        escaped = true;
        this.#at++;
      }
      this.#at++;
    }
    const raw = this.text.slice(start, this.#at++);
    if (!escaped) return raw;
    try {
      return JSON.parse(`"${raw}"`);
    } catch {
      return this.fail("a string has an unknown escape");
    }
  }

  /** A list of whole numbers below 2^53. */
  integers(most: number): number[] {
    const out: number[] = [];
    this.#expect(OPEN_LIST, "[");
    if (this.#taken(CLOSE_LIST)) return out;
    do {
      if (out.length >= most) this.fail(`a list has more than ${most} numbers`);
      out.push(this.#integer());
    } while (this.#taken(COMMA));
    this.#expect(CLOSE_LIST, "]");
    return out;
  }

  end(): void {
    this.#space();
    if (this.#at < this.text.length) this.fail("there is text after the header");
  }

  #integer(): number {
    this.#space();
    if (this.text.charCodeAt(this.#at) === MINUS) this.fail("a number is negative");
    const start = this.#at;
    for (;;) {
      const c = this.text.charCodeAt(this.#at);
      if (!(c >= ZERO && c <= NINE)) break;
      this.#at++;
    }
    const digits = this.text.slice(start, this.#at);
    const value = Number(digits);
    if (digits === "" || !Number.isSafeInteger(value)) {
      this.fail("a number is not whole below 2^53");
    }
    return value;
  }

  #expect(code: number, what: string): void {
    if (!this.#taken(code)) this.fail(`${what} is missing`);
  }

  #taken(code: number): boolean {
    this.#space();
    if (this.text.charCodeAt(this.#at) !== code) return false;
    this.#at++;
    return true;
  }

  #space(): void {
    for (;;) {
      const c = this.text.charCodeAt(this.#at);
      if (c !== 32 && c !== 10 && c !== 13 && c !== 9) return;
      this.#at++;
    }
  }
}
