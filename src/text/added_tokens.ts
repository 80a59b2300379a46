/** Tokens that a text is cut at before anything else is done to it, as the Python (Rust) library finds them. */
import type { TextStep } from "./normalizers.ts";

/** An entry of tokenizer.json's `added_tokens`. */
export interface AddedToken {
  id: number;
  content: string;
  /** A control token: plain text never becomes it. */
  special?: boolean;
  /** Found in the text as it is after the normalizer, not before. */
  normalized?: boolean;
  /** Found only where no letter, digit or mark touches it. */
  single_word?: boolean;
  /** Takes the white space before it, or behind it, too. */
  lstrip?: boolean;
  rstrip?: boolean;
}

/** A token's id, or a normalized text; `isFirst`: whether it is the start of the whole text. */
export type Section = { id: number } | { text: string; isFirst: boolean };

/** Stands behind the first character of a control token that is content. A noncharacter: no interchanged text has it. */
const SHIELD = "\ufdd0";

const WORD = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]";
const WORD_AT_START = new RegExp(`^${WORD}`, "u"), WORD_AT_END = new RegExp(`${WORD}$`, "u");
const SPACES_AT_START = /^\p{White_Space}*/u;
const SPACE = /\p{White_Space}/u;

/** Finds the added tokens of one tokenizer. */
export class AddedTokens {
  readonly #raw: Finder;
  readonly #normalized: Finder;
  /** The first character of each control token in a text. */
  readonly #control: RegExp | undefined;

  constructor(tokens: readonly AddedToken[], private readonly normalize: TextStep) {
    const isRaw = (token: AddedToken) => !(token.normalized ?? !token.special);
    this.#raw = new Finder(tokens.filter(isRaw).map((token) => [token.content, token]));
    this.#normalized = new Finder(
      tokens.filter((token) => !isRaw(token)).map((token) => [normalize(token.content), token]),
    );
    const control = alternatives(tokens.filter((t) => t.special).map((t) => t.content));
    if (control !== undefined) this.#control = new RegExp(`(?=${control})[^]`, "gu");
  }

  /** Cuts `text` at added tokens and normalizes what is between. Control tokens are found where `special` says so. */
  *sections(text: string, special: boolean): Generator<Section> {
    for (const outer of this.#raw.cut(text, special)) {
      if (outer.token !== undefined) {
        yield { id: outer.token.id };
        continue;
      }
      const inner = this.normalize(special ? outer.text.replaceAll(SHIELD, "") : outer.text);
      for (const { token, text, at } of this.#normalized.cut(inner, special)) {
        yield token ? { id: token.id } : { text, isFirst: outer.at === 0 && at === 0 };
      }
    }
  }

  /** `text` with no control token in it that `sections` would find; `sections` removes again what this adds. */
  shield(text: string): string {
    const whole = text.replaceAll(SHIELD, "\ufffd");
    return this.#control ? whole.replace(this.#control, `$&${SHIELD}`) : whole;
  }
}

interface Cut {
  token?: AddedToken;
  text: string;
  at: number;
}

/** Finds the leftmost of some texts, of those that begin at one place the longest. */
class Finder {
  readonly #tokens: Map<string, AddedToken>;
  readonly #pattern: RegExp | undefined;

  constructor(entries: [string, AddedToken][]) {
    this.#tokens = new Map(entries);
    const any = alternatives([...this.#tokens.keys()]);
    if (any !== undefined) this.#pattern = new RegExp(`${any}(?!${SHIELD})`, "gu");
  }

  /** The parts of `text` in order; none is empty. */
  *cut(text: string, special: boolean): Generator<Cut> {
    let done = 0;
    for (const match of this.#pattern ? text.matchAll(this.#pattern) : []) {
      const token = this.#tokens.get(match[0])!;
      let start = match.index, end = start + match[0].length;
      if (token.special && !special) continue;
      if (token.single_word && touchesWord(text, start, end)) continue;
      if (token.lstrip) { while (start > done && SPACE.test(text[start - 1]!)) start--; }
      if (token.rstrip) end += SPACES_AT_START.exec(text.slice(end))![0].length;
      if (done < start) yield { text: text.slice(done, start), at: done };
      yield { token, text: match[0], at: start };
      done = end;
    }
    if (done < text.length) yield { text: text.slice(done), at: done };
  }
}

/** The source of a regular expression that finds any of the texts, the longest first; undefined for none. */
function alternatives(texts: string[]): string | undefined {
  const longestFirst = texts.filter((text) => text !== "").sort((a, b) => b.length - a.length);
  if (longestFirst.length === 0) return undefined;
  return `(?:${longestFirst.map((text) => RegExp.escape(text)).join("|")})`;
}

function touchesWord(text: string, start: number, end: number): boolean {
  // Two units: a letter may be a surrogate pair.
  return WORD_AT_END.test(text.slice(Math.max(0, start - 2), start)) ||
    WORD_AT_START.test(text.slice(end, end + 2));
}
