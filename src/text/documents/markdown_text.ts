/** Translated text in Markdown: what would be a mark is escaped, and a last look compares the marks. */
import type { MarkdownParser } from "@lezer/markdown";

/** Text as Markdown writes it in a line. */
export function escapeInline(text: string, isCell: boolean): string {
  const escaped = text
    .replace(/[\\`*[\]]/g, "\\$&")
    .replace(/(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu, "\\_")
    .replace(/<(?=[a-zA-Z/!?])/g, "\\<")
    .replace(/&(?=#?\w+;)/g, "\\&")
    .replace(/~~/g, "\\~\\~");
  return isCell ? escaped.replaceAll("|", "\\|") : escaped;
}

/** A block's text whose first characters would begin another kind of block, escaped; likewise a heading's last. */
export function guardStart(out: string, source: string, isHeading: boolean): string {
  if (isHeading) return out.replace(/(^|[ \t])(#+)$/, "$1\\$2");
  const start =
    /^(?:([-+*])(?=\s|$)|(\d{1,9})([.)])(?=\s|$)|(#{1,6})(?=\s|$)|(>)|(=+\s*$)|(\[[^\]]*\])(:))/
      .exec(out);
  if (start === null) return out;
  const [found, bullet, digits, stop, hashes, quote, rule, label] = start;
  if (source.startsWith(found) && label !== undefined) return out;
  const rest = out.slice(found.length);
  if (digits !== undefined) return `${digits}\\${stop}${rest}`;
  if (label !== undefined) return `${label}\\:${rest}`;
  return `\\${bullet ?? hashes ?? quote ?? rule}${rest}`;
}

/** Whether two texts have the same inline marks, each as often. */
export function sameMarks(parser: MarkdownParser, a: string, b: string): boolean {
  return marksOf(parser, a) === marksOf(parser, b);
}

interface InlineElement {
  readonly type: number;
  readonly children?: readonly InlineElement[];
}

function marksOf(parser: MarkdownParser, text: string): string {
  const found: string[] = [];
  const open = [...parser.parseInline(text, 0) as readonly InlineElement[]];
  while (open.length > 0) {
    const element = open.pop()!;
    const { name } = parser.nodeSet.types[element.type]!;
    // Escapes and entities come and go with the words.
    if (name !== "Escape" && name !== "Entity") found.push(name);
    for (const child of element.children ?? []) open.push(child);
  }
  return found.sort().join(" ");
}
