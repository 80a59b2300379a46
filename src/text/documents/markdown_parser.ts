/** Lezer's parser of CommonMark and GFM, with bounds where its work on hostile texts would not be linear. */
import {
  Autolink,
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

const SPACE = 32, LINE_FEED = 10;

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
  mazes,
]);
