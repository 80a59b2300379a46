/** Plain text: lines stay lines; a paragraph that was wrapped at a width is translated whole and wrapped again. */
import { stringSegment } from "../strings.ts";
import type { DocumentOptions } from "./contract.ts";
import { type DocumentPart, linesOf, longestOf, wrap } from "./parts.ts";

/** A wrapped paragraph has lines about so long. */
const LEAST_WIDTH = 50, MOST_WIDTH = 100;

type Line = ReturnType<typeof linesOf>[number];

/** The parts of a text. */
export function textParts(text: string, options: DocumentOptions): DocumentPart[] {
  const parts: DocumentPart[] = [];
  let paragraph: Line[] = [];
  const flush = () => {
    if (paragraph.length === 0) return;
    for (const part of paragraphParts(paragraph, options)) parts.push(part);
    paragraph = [];
  };
  for (const line of linesOf(text)) {
    if (line.text.trim() === "") {
      flush();
      parts.push(line.text + line.end);
      continue;
    }
    if (paragraph.length > 0 && startsAnew(paragraph, line)) flush();
    paragraph.push(line);
  }
  flush();
  return parts;
}

const LIST_MARK = /^\s*(?:[-*+•–—]|\(?\d{1,3}[.)]|[a-zA-Z][.)])\s+/;

/** A list's item, or a line that is indented otherwise than those before. */
function startsAnew(paragraph: readonly Line[], line: Line): boolean {
  if (LIST_MARK.test(line.text)) return true;
  const rest = paragraph[1] ?? paragraph[0]!;
  const hangs = paragraph.length === 1 && indentOf(line) === markWidth(paragraph[0]!);
  return !hangs && indentOf(line) !== (paragraph.length === 1 ? indentOf(rest) : indentOf(rest));
}

function indentOf(line: Line): string {
  return /^[ \t]*/.exec(line.text)![0];
}

/** The indent that a list item's further lines have. */
function markWidth(line: Line): string {
  return " ".repeat(LIST_MARK.exec(line.text)?.[0].length ?? 0);
}

function paragraphParts(lines: readonly Line[], options: DocumentOptions): DocumentPart[] {
  const longest = longestOf(lines);
  const ended = lines.slice(0, -1).filter((l) => /[.!?:;]["')\]]?\s*$/.test(l.text)).length;
  // Lines that each end a sentence are lines of their own.
  const isWrapped = lines.length > 1 && longest <= MOST_WIDTH && 2 * ended < lines.length &&
    lines.slice(0, -1).every((l) => l.text.length >= Math.max(LEAST_WIDTH, longest - 30));
  if (!isWrapped) return lines.flatMap((line) => lineParts(line, options));
  const first = LIST_MARK.exec(lines[0]!.text)?.[0] ?? indentOf(lines[0]!);
  const next = indentOf(lines[1]!);
  const [{ end }] = [lines[0]!], last = lines.at(-1)!.end;
  const text = [lines[0]!.text.slice(first.length), ...lines.slice(1).map((l) => l.text.trim())]
    .join(" ");
  const source = lines.map((l, i) => l.text + (i < lines.length - 1 ? l.end : "")).join("");
  return [{
    segment: stringSegment(text, "nonewlines"),
    source,
    text,
    encode: (out) => wrap(out, Math.max(longest, 72), first, next).replaceAll("\n", end),
  }, last];
}

function lineParts(line: Line, options: DocumentOptions): DocumentPart[] {
  const mark = LIST_MARK.exec(line.text)?.[0] ?? "";
  const text = line.text.slice(mark.length);
  const segment = stringSegment(text, options.splitSentences === "off" ? "off" : "on");
  return [mark, { segment, source: text, text, encode: (out) => out }, line.end];
}
