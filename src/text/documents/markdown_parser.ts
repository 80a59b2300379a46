/** Lezer's parser of CommonMark and GFM, with bounds where its work on hostile texts would not be linear. */
import {
  Autolink,
  type Element,
  type MarkdownConfig,
  parser as commonmark,
  Strikethrough,
  Table,
  TaskList,
} from "@lezer/markdown";

/** Marks in the text of one paragraph, item, heading or cell; lines of one that has any. */
const MAX_MARKS = 600, MAX_LINES = 1000;
/** Lists (two levels each) and quotes that a line is in. */
const MAX_CONTAINERS = 80;
/** An address without angle brackets. */
const MAX_ADDRESS = 2000;
/** A definition of a link that has not ended before a later line. */
const MAX_DEFINITION = 2000;
/** White space side by side in the line below a table's head. */
const MAX_PADDING = 200;

/** The name of a node whose block or line is beyond these bounds: it is kept. */
export const MAZE = "Maze";

const SPACE = 32, LINE_FEED = 10, LESS_THAN = 60;

/** Whether the search for marks in a text would be quadratic in earnest. */
function isMaze(text: string): boolean {
  const marks = text.match(/[*_[\]`~<!]|https?:\/\/|www\./g)?.length ?? 0;
  if (marks === 0) return false;
  return marks > MAX_MARKS || LONG_ADDRESS.test(text) || text.split("\n").length > MAX_LINES;
}

const LONG_ADDRESS = new RegExp(`(?:https?://|www\\.)[^\\s<]{${MAX_ADDRESS}}`);

const inert = { nextLine: () => false, finish: () => false };

const mazes: MarkdownConfig = {
  defineNodes: [{ name: MAZE, block: true }],
  parseBlock: [{
    name: MAZE,
    before: "LinkReference",
    parse(context, line) {
      if (context.depth <= MAX_CONTAINERS + 1) return false;
      const from = context.lineStart + line.pos;
      context.nextLine();
      context.addElement(context.elt(MAZE, from, context.prevLineEnd()));
      return true;
    },
    // A definition's parser reads all of it again with each line. It is the next one of the block.
    leaf: (_context, { content }) =>
      !content.startsWith("[") ? null : {
        ...inert,
        nextLine(_context, _line, leaf) {
          if (leaf.content.length > MAX_DEFINITION) leaf.parsers.splice(0, 2, inert, inert);
          return false;
        },
      },
  }],
  parseInline: [{
    name: MAZE,
    before: "Escape",
    parse(context, _next, at) {
      if (at !== context.offset || !isMaze(context.text)) return -1;
      // One character stands for all: marks of quotes may follow it, none has to be put inside.
      context.addElement(context.elt(MAZE, at, at + 1));
      return context.end;
    },
  }, {
    // A hard break is looked for from each space to the end of its run.
    name: "Spaces",
    before: "Escape",
    parse(context, next, at) {
      if (next !== SPACE) return -1;
      let end = at + 1;
      while (context.char(end) === SPACE) end++;
      return context.char(end) === LINE_FEED ? -1 : end;
    },
  }],
};

/** CommonMark's names of elements that begin a block of HTML; any other tag does that is alone in its line. */
const BLOCKS =
  `address article aside base basefont blockquote body caption center col colgroup dd details dialog dir div dl dt
  fieldset figcaption figure footer form frame frameset h[1-6] head header hr html iframe legend li link main menu
  menuitem nav noframes ol optgroup option p param search section source summary table tbody td tfoot th thead title
  tr track ul`.split(/\s+/).join("|");
const HTML = new RegExp(
  `^</?(?:(?:${BLOCKS})(?:\\s|/?>|$)|(?!(?:pre|script|style|textarea)\\b)[a-z][\\w-]*[^<>]*>\\s*$)`,
  "i",
);

/**
 * HTML in a quote. Lezer goes on over the quote's blank lines, and the quote's marks are inside of what it finds; here
 * every line is a block, or, where a tag goes over several, all are one, which holds the marks.
 */
const quotedHtml: MarkdownConfig = {
  parseBlock: [{
    name: "QuotedHTML",
    before: "HTMLBlock",
    parse(context, line) {
      if (line.next !== LESS_THAN || !HTML.test(line.text.slice(line.pos))) return false;
      const depths = Array.from({ length: context.depth }, (_, depth) => depth);
      const quotes = depths.filter((d) => context.parentType(d).name === "Blockquote").length;
      if (quotes === 0) return false;
      const lines: Element[] = [], marks: Element[] = [];
      const from = context.lineStart + line.pos;
      let to = from, isWhole = true;
      do {
        const { text, pos } = line, { lineStart: start } = context;
        if (lines.length > 0) marks.push(...line.markers);
        to = start + text.trimEnd().length;
        lines.push(context.elt("HTMLBlock", start + pos, to));
        isWhole &&= text.lastIndexOf("<") <= text.lastIndexOf(">");
      } while (
        context.nextLine() && line.markers.length >= quotes && line.pos < line.text.length
      );
      const blocks = isWhole ? lines : [context.elt("HTMLBlock", from, to, marks)];
      for (const block of blocks) context.addElement(block);
      return true;
    },
  }],
};

/** Tables; white space before the line below the head may be read in many ways, all of which are tried. */
const tables: MarkdownConfig = {
  ...Table,
  parseBlock: Table.parseBlock!.map((rule) => ({
    ...rule,
    endLeaf: (context, line, leaf) =>
      !PADDING.test(context.peekLine()) && rule.endLeaf!(context, line, leaf),
  })),
};

const PADDING = new RegExp(`\\s{${MAX_PADDING}}`);

/** The parser. Its work is linear in a text's length. */
export const parser = commonmark.configure([
  tables,
  TaskList,
  Strikethrough,
  Autolink,
  quotedHtml,
  mazes,
]);

/** The tree of a whole document; its front matter is blank lines there. */
export function parseDocument(text: string): ReturnType<typeof parser.parse> {
  const front = frontMatterEnd(text);
  // The parser needs it out of the way, and places to stay.
  return parser.parse(text.slice(0, front).replace(/[^\r\n]/g, " ") + text.slice(front));
}

/** Where YAML or TOML at the start of a file ends; 0 where there is none. */
function frontMatterEnd(text: string): number {
  const open = /^\ufeff?(---|\+\+\+)[ \t]*\r?\n/.exec(text);
  if (open === null) return 0;
  const close = new RegExp(`^\\${open[1]!.split("").join("\\")}[ \\t]*(?:\\r?\\n|$)`, "m");
  const rest = text.slice(open[0].length), match = close.exec(rest);
  return match === null ? 0 : open[0].length + match.index + match[0].length;
}
