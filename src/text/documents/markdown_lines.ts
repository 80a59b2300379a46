/**
 * Lines that CommonMark takes for a paragraph's and that mean something where they stand to those who extend it:
 * footnotes one below the other, definitions, admonitions, attributes, templates' tags, formulas. They keep their lines.
 */

/** A formula between lines of $$. */
const FORMULA = /\$\$[^$]{0,4000}\$\$/.source;
/** ::: note (Docusaurus, VitePress, Pandoc), !!! note and ??? note (MkDocs). */
const ADMONITION = /(?::{3,}|(?:!!!|\?\?\?\+?) )[^\n]*/.source;
/** {: .class} of Kramdown, {% tag %} of Liquid and Jinja, {{< tag >}} and {{% tag %}} of Hugo. */
const BRACES = /\{:[^\n{}]*\}|\{%[^\n]*%\}|\{\{[<%][^\n]*[>%]\}\}/.source;
/** A whole line. */
const WHOLE = `(?:${FORMULA}|${ADMONITION}|${BRACES})[ \\t]*(?=\\r?\\n|$)`;
/** What begins a footnote or a definition; its text is translated. */
const BEGINNING = /(?:\[\^[^\]\s]{1,100}\]:|:)[ \t]+/.source;

const OWN = new RegExp(`${WHOLE}|${BEGINNING}`, "y"), BREAK = /[ \t]*\r?\n[ \t]*/y;

/** A line break with the spaces around it. */
export const LINE_BREAK = /(?<![ \t])[ \t]*\r?\n[ \t]*/;

/** A paragraph with the marks in it. */
interface Block {
  readonly to: number;
  readonly firstChild: Mark | null;
}

interface Mark {
  readonly from: number;
  readonly to: number;
  readonly nextSibling: Mark | null;
}

/** Where lines that stand for themselves end, the first of which begins at `from`; `from` where it is none. */
export function ownLinesEnd(text: string, from: number, block: Block): number {
  let at = from;
  for (;;) {
    const end = matchEnd(OWN, text, at);
    if (end === at || end > block.to || isCut(block, end)) return at;
    const next = matchEnd(BREAK, text, end);
    at = next < block.to ? next : end;
    if (at === end) return at;
  }
}

function matchEnd(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}

/** Whether emphasis or the like goes on behind a place. */
function isCut(block: Block, at: number): boolean {
  for (let mark = block.firstChild; mark !== null && mark.from < at; mark = mark.nextSibling) {
    if (mark.to > at) return true;
  }
  return false;
}

/** At a heading's end: {#name .class}, what it is called by and looks like. */
const ATTRIBUTES = /(?<![ \t])[ \t]*\{[#.:][^{}\n]*\}\s*$/;

/** A heading's text without its attributes: they stay at its end. */
export function withoutAttributes(heading: string): string {
  return heading.replace(ATTRIBUTES, "");
}
