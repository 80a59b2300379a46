/** XML to events: saxes judges whether it is well formed, then ranges are read off. No entity is ever expanded. */
import { SaxesParser } from "saxes";
import { MoqeError } from "../../base/errors.ts";
import type { MarkupEvent } from "./events.ts";

/** The entities that every XML text has; others are kept as references. */
export const XML_ENTITIES: ReadonlyMap<string, string> = new Map([
  ["amp", "&"],
  ["lt", "<"],
  ["gt", ">"],
  ["quot", '"'],
  ["apos", "'"],
]);

/** The events of a document, or of a piece of one (no single root). Throws MoqeError `bad_input` where it is ill formed. */
export function xmlEvents(text: string): MarkupEvent[] {
  checkWellFormed(text);
  const events: MarkupEvent[] = [];
  for (let at = 0; at < text.length;) {
    const event = eventAt(text, at);
    events.push(event);
    at = event.end;
  }
  return events;
}

function checkWellFormed(text: string): void {
  const doctype = doctypeStart(text);
  const declared = /^(?:\ufeff)?<\?xml\s/.test(text);
  const options = { fragment: doctype === undefined && !declared, xmlns: false, position: true };
  const parser = new SaxesParser(options);
  if (doctype !== undefined) allowReferences(parser, text, doctype);
  let fault: string | undefined;
  parser.on("error", (error) => {
    fault ??= error.message;
  });
  try {
    parser.write(text).close();
  } catch (thrown) {
    fault ??= thrown instanceof Error ? thrown.message : String(thrown);
  }
  if (fault !== undefined) {
    throw new MoqeError("bad_input", {
      action: "read the XML",
      rule: "it must be well formed",
      observed: fault.slice(0, 200),
    });
  }
}

/**
 * References that a doctype may declare are let through as references: those it declares itself, and any where it
 * names a file with declarations. Their values are never looked at.
 */
function allowReferences(parser: SaxesParser, text: string, at: number): void {
  const doctype = text.slice(at, doctypeEnd(text, at));
  const isExternal = /^<!DOCTYPE\s+[^\s[>]+\s+(?:SYSTEM|PUBLIC)\s/.test(doctype);
  const names = isExternal
    ? text.matchAll(/&([^\s&;#<]{1,100});/g)
    : doctype.matchAll(/<!ENTITY\s+([^\s%"'>]{1,100})\s/g);
  for (const [, name] of names) {
    if (!XML_ENTITIES.has(name!)) parser.ENTITIES[name!] = "";
  }
}

/** The construct at `at` of well-formed XML. */
function eventAt(text: string, at: number): MarkupEvent {
  const behind = (mark: string, from: number) => {
    const end = text.indexOf(mark, from);
    return end === -1 ? text.length : end + mark.length;
  };
  const other = (end: number): MarkupEvent => ({ kind: "other", start: at, end });
  if (text[at] !== "<") {
    const end = text.indexOf("<", at);
    return { kind: "text", start: at, end: end === -1 ? text.length : end };
  }
  if (text.startsWith("<!--", at)) return other(behind("-->", at + 4));
  if (text.startsWith("<![CDATA[", at)) return other(behind("]]>", at + 9));
  if (text.startsWith("<?", at)) return other(behind("?>", at + 2));
  if (text.startsWith("<!", at)) return other(doctypeEnd(text, at));
  if (text[at + 1] === "/") {
    const end = behind(">", at);
    return { kind: "close", start: at, end, name: text.slice(at + 2, end - 1).trim() };
  }
  return openTag(text, at);
}

const NAME = /[^\s/>=]+/y;
const ATTRIBUTE = /\s*([^\s=/>]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/y;

function openTag(text: string, start: number): MarkupEvent {
  NAME.lastIndex = start + 1;
  const name = NAME.exec(text)?.[0] ?? "";
  let at = start + 1 + name.length;
  const attributes = [];
  for (;;) {
    ATTRIBUTE.lastIndex = at;
    const match = ATTRIBUTE.exec(text);
    if (match === null) break;
    at = ATTRIBUTE.lastIndex;
    const value = match[2] ?? match[3] ?? "";
    attributes.push({ name: match[1]!, start: at - 1 - value.length, end: at - 1, quoted: true });
  }
  const close = text.indexOf(">", at);
  const end = close === -1 ? text.length : close + 1;
  return { kind: "open", start, end, name, empty: text[end - 2] === "/", attributes };
}

/** Where the doctype begins: behind white space, comments and instructions. */
function doctypeStart(text: string): number | undefined {
  for (let at = text.startsWith("\ufeff") ? 1 : 0; at < text.length;) {
    if (text.startsWith("<!DOCTYPE", at)) return at;
    const event = eventAt(text, at);
    const isBlank = event.kind === "text" && text.slice(event.start, event.end).trim() === "";
    if (event.kind !== "other" && !isBlank) return undefined;
    at = event.end;
  }
  return undefined;
}

/** The end of a doctype: brackets, quotes, comments and instructions inside are passed over. */
function doctypeEnd(text: string, start: number): number {
  const mark = /<!--|<\?|["'[\]<>]/g;
  mark.lastIndex = start + 2;
  let depth = 1;
  for (let match = mark.exec(text); match !== null; match = mark.exec(text)) {
    const [found] = match;
    const closing = found === "<!--"
      ? "-->"
      : found === "<?"
      ? "?>"
      : /["']/.test(found)
      ? found
      : "";
    if (closing !== "") {
      const end = text.indexOf(closing, mark.lastIndex);
      if (end === -1) break;
      mark.lastIndex = end + closing.length;
    } else if (found === "<" || found === "[") depth++;
    else if (--depth === 0) return mark.lastIndex;
  }
  return text.length;
}
