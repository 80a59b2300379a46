/** A document as parts: bytes to keep and texts to translate, in order. What every format's reader makes. */
import type { Segment } from "../rich/segment.ts";

/** A text of a document, and how its translation is written in the document. */
export interface TextPart {
  readonly segment: Segment;
  /** What stands in the document now: it stays where the translation is the text itself. */
  readonly source: string;
  /** The text itself, as `segment` gives it when nothing is changed. */
  readonly text: string;
  /** Writes the translated text: quotes, escapes, wraps. */
  encode(translated: string): string;
}

export type DocumentPart = string | TextPart;

/**
 * Parts by a reader that knows no CR LF: the text is given to it with line feeds alone, and where most of its lines end
 * in CR LF what is written has it, too.
 */
export function withLineFeeds(
  text: string,
  read: (text: string) => DocumentPart[],
): DocumentPart[] {
  const lines = text.split("\n").length - 1, pairs = text.split("\r\n").length - 1;
  if (2 * pairs < lines || pairs === 0) return read(text);
  const parts = read(text.replaceAll("\r\n", "\n"));
  const back = (written: string) => written.replaceAll("\n", "\r\n");
  return parts.map((part) =>
    typeof part === "string"
      ? back(part)
      : { ...part, source: back(part.source), encode: (out) => back(part.encode(out)) }
  );
}

/** `text` on lines of at most `width` units, broken at spaces outside of tags; the indents are counted. */
export function wrap(text: string, width: number, first = "", next = first): string {
  const words = text.match(/(?:<[^<>]*>|[^\s<]|<(?![^<>]*>))+/g) ?? [];
  const lines: string[] = [];
  let line = first, hasWord = false;
  for (const word of words) {
    if (hasWord && line.length + 1 + word.length > width) {
      lines.push(line);
      [line, hasWord] = [next, false];
    }
    line += hasWord ? ` ${word}` : word;
    hasWord = true;
  }
  return [...lines, line].join("\n");
}

/** Units of the longest of lines, of which there may be more than a call takes arguments. */
export function longestOf(lines: readonly { text: string }[]): number {
  return lines.reduce((most, line) => Math.max(most, line.text.length), 0);
}

/** Lines of a text with their ends: "\n", "\r\n", "\r" or, at last, "". */
export function linesOf(text: string): { text: string; end: string; start: number }[] {
  const lines: { text: string; end: string; start: number }[] = [];
  let start = 0;
  for (const match of text.matchAll(/\r\n|[\r\n]/g)) {
    lines.push({ text: text.slice(start, match.index), end: match[0], start });
    start = match.index + match[0].length;
  }
  if (start < text.length) lines.push({ text: text.slice(start), end: "", start });
  return lines;
}
