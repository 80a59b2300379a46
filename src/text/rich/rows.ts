/** Rows of elements: links of a menu, badges, columns. Nothing is said between them, so each is a text of its own. */
import { rawOf, type RichItem, type Segment } from "./segment.ts";

/** What stands at the top of a segment: an element with all that is in it, or something beside elements. */
interface Piece {
  readonly items: RichItem[];
  readonly isElement: boolean;
}

const LINK = /^(?:<a[\s>]|!?\[)/i;
/** Elements that stand over words of one sentence, however many follow each other. */
const EMPHASIS = /^(?:<(?:b|big|del|em|i|ins|mark|q|s|small|strong|sub|sup|u)[\s>]|[*_~]+$)/i;
/** What stands between the entries of a row, beside white space. */
const SEPARATOR = /[|\u00b7\u2022\u203a\u00bb\u2192]/;

/** The parts of a segment that is a row, undefined for one that is not: its elements are segments, the rest is kept. */
export function inRow(segment: Segment): (string | Segment)[] | undefined {
  const pieces = piecesOf(segment.items);
  const entries = pieces.filter((piece) => piece.isElement && /\p{L}/u.test(shownBy(piece)));
  const rest = pieces.filter((piece) => !entries.includes(piece));
  if (entries.length < 2 || rest.some((piece) => /[\p{L}\p{N}]/u.test(shownBy(piece)))) {
    return undefined;
  }
  if (!areApart(entries, rest)) return undefined;
  return pieces.map((piece) =>
    entries.includes(piece) ? { ...segment, items: piece.items } : rawOf(piece.items)
  );
}

/** Whether a link's element is meant: it must have words to be seen. */
export function isLink(open: string): boolean {
  return LINK.test(open);
}

function piecesOf(items: readonly RichItem[]): Piece[] {
  const pieces: Piece[] = [];
  let depth = 0;
  for (const item of items) {
    if (depth === 0) pieces.push({ items: [], isElement: item.kind === "open" });
    pieces.at(-1)!.items.push(item);
    if (item.kind === "open") depth++;
    if (item.kind === "close") depth--;
  }
  return pieces;
}

/** What a reader sees of it, and texts that stand for something to be seen. */
function shownBy({ items }: Piece): string {
  return items.map((item) =>
    item.kind === "text"
      ? item.text
      : item.kind === "atom"
      ? item.shown + (item.inner?.text ?? "")
      : ""
  ).join("");
}

function areApart(entries: readonly Piece[], rest: readonly Piece[]): boolean {
  const opens = entries.map(({ items: [open] }) => rawOf([open!]));
  if (opens.every(isLink)) return true;
  if (opens.some((open) => EMPHASIS.test(open))) return false;
  if (rest.some((piece) => SEPARATOR.test(shownBy(piece)))) return true;
  return entries.every((entry) => /^\P{L}*\p{Lu}/u.test(shownBy(entry)));
}
