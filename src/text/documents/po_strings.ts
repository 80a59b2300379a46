/** Strings of gettext catalogues: escapes, and how fields are written. */

const ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  a: "\x07",
  b: "\b",
  f: "\f",
  v: "\v",
};

/** A quoted string's text. */
export function unescape(text: string): string {
  return text.replace(
    /\\(?:x([\da-fA-F]{1,2})|([0-7]{1,3})|(.))/g,
    (_, hex?: string, octal?: string, c?: string) =>
      hex !== undefined
        ? String.fromCharCode(parseInt(hex, 16))
        : octal !== undefined
        ? String.fromCharCode(parseInt(octal, 8))
        : ESCAPES[c!] ?? c!,
  );
}

function escape(text: string): string {
  const names = Object.entries(ESCAPES);
  return text.replace(/["\\]|\p{Cc}/gu, (c) => {
    const name = names.find(([, value]) => value === c)?.[0];
    return name === undefined && c !== '"' && c !== "\\" ? c : `\\${name ?? c}`;
  });
}

/** gettext's page width. */
const WIDTH = 79;

/** A field as gettext writes it: on one line where it fits, else a line for each of its own, wrapped at spaces. */
export function written(keyword: string, text: string, end: string): string {
  const one = `${keyword} "${escape(text)}"`;
  if (one.length <= WIDTH && !/\n./s.test(text)) return one + end;
  const lines = text.split(/(?<=\n)/).flatMap((line) => wrapped(escape(line)));
  return [`${keyword} ""`, ...lines.map((line) => `"${line}"`)].join(end) + end;
}

/** An escaped line in pieces that fit; spaces stay at the ends. */
function wrapped(line: string): string[] {
  const pieces: string[] = [];
  let piece = "";
  for (const word of line.match(/[^ ]*(?: +|$)/g) ?? []) {
    if (piece !== "" && piece.length + word.trimEnd().length > WIDTH - 2) {
      pieces.push(piece);
      piece = "";
    }
    piece += word;
  }
  if (piece !== "") pieces.push(piece);
  return pieces;
}
