/** Links to a Markdown document's own headings: a heading is called by its words, so they follow its translation. */
import { decodeHTML } from "entities";
import Slugger from "github-slugger";
import type { MarkupAttribute } from "../markup/events.ts";
import { htmlEvents } from "../markup/html.ts";
import type { Node } from "./markdown_html.ts";
import { withoutAttributes } from "./markdown_lines.ts";
import { parseDocument } from "./markdown_parser.ts";

/** What a document that has no link into itself lacks. */
const HAS_LINK = /(?:\(|\]:)[ \t]*<?#|\bhref\s*=\s*["']?#/i;
/** What is no word of a heading. */
const SILENT = /^(?:Image|HTMLTag|Comment|ProcessingInstruction|Link(?:Title|Label)|.*Mark)$/;
const HTML = /^HTML(?:Tag|Block)$/;

/** A link's fragment, without its #, in a text. */
interface Fragment {
  readonly from: number;
  readonly to: number;
}

interface Anchors {
  /** What the headings are called, in order; undefined for one that has a name of its own, as {#name}. */
  readonly slugs: readonly (string | undefined)[];
  /** Names that elements of HTML have. */
  readonly names: ReadonlySet<string>;
  readonly links: readonly Fragment[];
}

/**
 * The translated document with its links to headings made whole: one that names a heading of the source as GitHub calls
 * it (`[x](#a-heading)`, a definition, `href` in HTML) names that heading as its translation is called. Names that were
 * given, as `{#name}` or `id="name"`, stay, and so do their links.
 */
export function followHeadings(source: string, translated: string): string {
  if (source === translated || !HAS_LINK.test(source)) return translated;
  const before = anchorsOf(source), after = anchorsOf(translated);
  if (before.slugs.length !== after.slugs.length) return translated;
  const renamed = new Map<string, string>();
  before.slugs.forEach((slug, i) => {
    const now = after.slugs[i];
    if (slug && now && !before.names.has(slug)) renamed.set(slug, now);
  });
  let out = "", at = 0;
  for (const { from, to } of after.links) {
    const now = renamed.get(decoded(translated.slice(from, to)));
    if (now === undefined) continue;
    out += translated.slice(at, from) + now;
    at = to;
  }
  return out + translated.slice(at);
}

function anchorsOf(document: string): Anchors {
  // The parser knows no CR LF; places stay.
  const text = document.replaceAll("\r\n", " \n");
  const slugger = new Slugger(), slugs: (string | undefined)[] = [];
  const names = new Set<string>(), links: Fragment[] = [];
  const cursor = parseDocument(text).cursor();
  do {
    const { name, from, to } = cursor;
    if (/Heading\d$/.test(name)) slugs.push(slugOf(cursor.node, text, slugger));
    else if (name === "URL") links.push(...fragmentOf(text, from, to));
    else if (HTML.test(name)) {
      for (const { name: key, start, end } of attributesOf(text.slice(from, to))) {
        if (key === "href") links.push(...fragmentOf(text, from + start, from + end));
        else if (key === "id" || key === "name") names.add(text.slice(from + start, from + end));
      }
    }
  } while (cursor.next());
  return { slugs, names, links };
}

function attributesOf(html: string): MarkupAttribute[] {
  return htmlEvents(html).flatMap((event) => event.kind === "open" ? event.attributes : []);
}

function fragmentOf(text: string, from: number, to: number): Fragment[] {
  const isBracketed = text[from] === "<", start = isBracketed ? from + 1 : from;
  return text[start] === "#" ? [{ from: start + 1, to: isBracketed ? to - 1 : to }] : [];
}

/** What GitHub calls a heading; a number tells it from an earlier one of the same words. */
function slugOf(heading: Node, text: string, slugger: Slugger): string | undefined {
  const words = wordsOf(heading, text).trim(), bare = withoutAttributes(words);
  if (words.slice(bare.length).includes("{#")) return undefined;
  return slugger.slug(bare.replaceAll("\n", " "));
}

/** The words of a heading, without marks. */
function wordsOf(node: Node, text: string): string {
  if (SILENT.test(node.name) || node.name === "URL" && node.parent?.name === "Link") return "";
  const raw = text.slice(node.from, node.to);
  if (node.name === "Escape") return raw.slice(1);
  if (node.name === "Entity") return decodeHTML(raw);
  let out = "", at = node.from;
  for (let child = node.firstChild; child !== null; child = child.nextSibling) {
    out += text.slice(at, child.from) + wordsOf(child, text);
    at = child.to;
  }
  return out + text.slice(at, node.to);
}

function decoded(fragment: string): string {
  try {
    return decodeURIComponent(fragment);
  } catch {
    return fragment;
  }
}
