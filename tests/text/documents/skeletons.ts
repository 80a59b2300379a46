/** What of a document must not change, read by other means than the program's own readers where there are any. */
import { GFM, parser } from "@lezer/markdown";
import type { DocumentFormat } from "../../../src/text/documents/contract.ts";
import type { MarkupEvent } from "../../../src/text/markup/events.ts";
import { htmlEvents } from "../../../src/text/markup/html.ts";
import { xmlEvents } from "../../../src/text/markup/xml.ts";

/** Lines to compare: equal before and after whatever a translator answers. */
export function skeletonOf(text: string, format: DocumentFormat): string[] {
  return READERS[format](text);
}

const READERS: Record<DocumentFormat, (text: string) => string[]> = {
  text: (text) =>
    text.split("\n").map((line) => line.trim() === "" ? "" : "text")
      .filter((line, i, all) => line === "" || all[i - 1] !== line),
  markdown,
  html: (text) => tags(text, htmlEvents(text)),
  xml: (text) => tags(text, xmlEvents(text)),
  po,
  json: (text) => shape(JSON.parse(text), "$"),
  srt: times,
  vtt: times,
};

/** Every tag, comment and instruction with the elements around it, in no order. Read attributes are left out. */
export function tags(text: string, events: readonly MarkupEvent[]): string[] {
  const found: string[] = [], stack: string[] = [];
  for (const event of events) {
    if (event.kind === "text") continue;
    const raw = text.slice(event.start, event.end)
      .replace(/\s(?:alt|title|placeholder|content|aria-label)=(?:"[^"]*"|'[^']*')/g, "");
    if (event.kind === "close") {
      const at = stack.lastIndexOf(event.name);
      if (at !== -1) stack.length = at;
    }
    found.push(`${stack.join("/")} ${raw}`);
    if (event.kind === "open" && !event.empty) stack.push(event.name);
  }
  return found.sort();
}

/** Blocks in order; the marks of each block in no order; code, addresses and references to the byte. */
function markdown(text: string): string[] {
  const front = /^---\n[^]*?\n---\n/.exec(text)?.[0] ?? "";
  const lines: string[] = [front];
  let inline: string[] = [];
  const flush = () => lines.push(...inline.sort());
  parser.configure(GFM).parse(text.slice(front.length)).iterate({
    enter(node) {
      const raw = text.slice(front.length + node.from, front.length + node.to);
      const isBlock = node.type.isSkipped ||
        /^(?:Document|Blockquote|\w*List|ListItem|\w*Heading\d|Paragraph|HTMLBlock|FencedCode|CodeBlock|Table\w*|Task|HorizontalRule|LinkReference)$/
          .test(node.name);
      if (isBlock) {
        flush();
        inline = [];
        lines.push(
          /^(?:FencedCode|CodeBlock|LinkReference)$/.test(node.name)
            ? `${node.name} ${raw}`
            : node.name,
        );
      } else if (
        /^(?:InlineCode|URL|Autolink|LinkTitle|CodeInfo|TableDelimiter)$/.test(node.name)
      ) {
        inline.push(`${node.name} ${raw}`);
      } else if (
        /^(?:Emphasis|StrongEmphasis|Link|Image|HardBreak|HTMLTag|Strikethrough)$/.test(node.name)
      ) {
        inline.push(node.name === "HTMLTag" ? raw : node.name);
      }
    },
  });
  flush();
  return lines;
}

/** Comments, contexts and sources of a catalogue in order, and which strings are filled. */
/** The mark of a template's header is no part of it: it goes when the header is filled. */
function po(text: string): string[] {
  const lines: string[] = [];
  let skipping = false;
  for (const line of text.replace(/^#, fuzzy\n(?=msgid ""\nmsgstr )/m, "").split("\n")) {
    if (line.startsWith("msgstr")) {
      lines.push(line.replace(/\s.*/, ""));
      skipping = true;
    } else if (!skipping || !line.startsWith('"')) {
      skipping = false;
      lines.push(line);
    }
  }
  return lines;
}

function shape(value: unknown, path: string): string[] {
  if (Array.isArray(value)) {
    return [
      `${path} [${value.length}]`,
      ...value.flatMap((v, i) => shape(v, `${path}.${i}`)),
    ];
  }
  if (typeof value === "object" && value !== null) {
    return Object.entries(value).flatMap(([key, v]) => shape(v, `${path}.${key}`));
  }
  return [`${path} ${typeof value === "string" ? "string" : JSON.stringify(value)}`];
}

/** Everything but the lines of speech; how many blocks, and which of them have speech. */
function times(text: string): string[] {
  return text.replaceAll("\r\n", "\n").split(/\n\n+/).flatMap((block) => {
    const lines = block.split("\n"), at = lines.findIndex((l) => l.includes("-->"));
    if (at === -1) return [block];
    return [...lines.slice(0, at + 1), lines.length > at + 1 ? "speech" : ""];
  });
}
