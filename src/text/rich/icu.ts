/** ICU message arguments that hold messages of their own: {n, plural, one {# file} other {# files}}. */

/** An argument's place in a text, and its pieces: structure to keep, messages to translate. */
export interface IcuArgument {
  readonly start: number;
  readonly end: number;
  /** In order. Strings are kept; a message is translated. Joined, they are the argument. */
  readonly pieces: readonly (string | IcuMessage)[];
}

export interface IcuMessage {
  readonly message: string;
  /** In a plural's message # is the number. */
  readonly plural: boolean;
}

const HEAD =
  /\{\s{0,20}[\w.$-]{1,100}\s{0,20},\s{0,20}(plural|select|selectordinal)\s{0,20},(?:\s{0,20}offset:\d{1,9})?/y;
const SELECTOR = /\s{0,200}(?:=\d{1,9}|[\w$-]{1,100})\s{0,200}\{/y;
const END = /\s{0,200}\}/y;

/** Arguments with messages, in order, outermost only. Text that only looks like one is passed over. */
export function complexArguments(text: string): IcuArgument[] {
  const found: IcuArgument[] = [];
  let ends: Int32Array | undefined;
  for (let at = text.indexOf("{"); at !== -1; at = text.indexOf("{", at)) {
    const head = matchAt(HEAD, text, at);
    const argument = head && argumentAt(text, at, head, ends ??= closingBraces(text));
    if (argument !== undefined) found.push(argument);
    at = argument?.end ?? at + 1;
  }
  return found;
}

function argumentAt(
  text: string,
  start: number,
  head: RegExpExecArray,
  ends: Int32Array,
): IcuArgument | undefined {
  const plural = head[1] !== "select";
  const pieces: (string | IcuMessage)[] = [];
  let kept = start, at = start + head[0].length;
  for (;;) {
    const selector = matchAt(SELECTOR, text, at);
    if (selector === undefined) break;
    const from = at + selector[0].length;
    const to = ends[from - 1]!;
    if (to === 0) return undefined;
    pieces.push(text.slice(kept, from), { message: text.slice(from, to), plural });
    kept = to;
    at = to + 1;
  }
  const end = matchAt(END, text, at);
  if (end === undefined || pieces.length === 0) return undefined;
  at += end[0].length;
  return { start, end: at, pieces: [...pieces, text.slice(kept, at)] };
}

/**
 * For each opening brace where it is closed, 0 where it is not. Apostrophes inside of braces quote further ones; a
 * quotation without an end leaves all that are open then unclosed. One pass for all arguments, however they nest.
 */
function closingBraces(text: string): Int32Array {
  const ends = new Int32Array(text.length), open: number[] = [];
  for (let at = 0; at < text.length; at++) {
    const c = text[at];
    if (c === "{") open.push(at);
    else if (c === "}") {
      const start = open.pop();
      if (start !== undefined) ends[start] = at;
    } else if (c === "'" && open.length > 0 && /[{}#|]/.test(text[at + 1] ?? "")) {
      const close = text.indexOf("'", at + 2);
      if (close === -1) open.length = 0;
      else at = close;
    }
  }
  return ends;
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text) ?? undefined;
}

/** Writes translated text in a message: an apostrophe before a brace or at the end would quote what follows. */
export function escapeIcu(text: string): string {
  return text.replace(
    /'+(?=[{}#|]|$)/g,
    (quotes) => quotes.length % 2 === 0 ? quotes : `${quotes}'`,
  );
}
