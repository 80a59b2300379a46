/** Text inside markup: entities to characters and back. Symbols that were written as entities are kept as these. */
import { decodeHTML } from "entities";
import type { MarkupKind } from "../documents/contract.ts";
import type { RichItem } from "../rich/segment.ts";
import { XML_ENTITIES } from "./xml.ts";

/** How a kind of markup writes text. */
export interface TextCodec {
  /** Raw text as items. */
  items(raw: string): RichItem[];
  /** A comment, an instruction, a CDATA section. */
  other(raw: string): RichItem;
  escape(text: string): string;
}

const REFERENCE = /&(?:#\d{1,8}|#[xX][\da-fA-F]{1,7}|[\p{L}_:][\p{L}\p{N}_.:-]{0,99});?/gu;

/** The codec of HTML or XML. */
export function textCodec(kind: MarkupKind): TextCodec {
  return {
    items: (raw) => itemsOf(raw, kind === "html" ? htmlItem : xmlItem),
    other: (raw) => ({ kind: "atom", raw, shown: kind === "xml" ? shownOfCdata(raw) : "" }),
    escape: escapeText,
  };
}

/** Translated text in markup. */
export function escapeText(text: string): string {
  return text.replace(/[&<>]/g, (c) => c === "&" ? "&amp;" : c === "<" ? "&lt;" : "&gt;");
}

/** Translated text in an attribute's value, in whichever quotes. */
export function escapeValue(text: string): string {
  return escapeText(text).replaceAll('"', "&quot;").replaceAll("'", "&#39;");
}

/** A symbol: © → ™ ° € ×. Letters, quotes, dashes and spaces are a language's own, they change with it. */
const SYMBOL = /^(?!\p{ASCII})[\p{So}\p{Sm}\p{Sc}•]$/u;

/** What a reference stands for. A symbol is kept, with its bytes: it is no word, and models lose it. */
export function characterItem(text: string, raw: string): RichItem {
  if (SYMBOL.test(text)) return { kind: "atom", raw, shown: text, span: "kept" };
  return { kind: "text", text, raw };
}

function itemsOf(raw: string, item: (reference: string) => RichItem | undefined): RichItem[] {
  const items: RichItem[] = [];
  let at = 0;
  for (const { 0: reference, index } of raw.matchAll(REFERENCE)) {
    const found = item(reference);
    if (found === undefined) continue;
    if (index > at) items.push({ kind: "text", text: raw.slice(at, index) });
    items.push(found);
    at = index + reference.length;
  }
  if (at < raw.length) items.push({ kind: "text", text: raw.slice(at) });
  return items;
}

function htmlItem(reference: string): RichItem | undefined {
  const text = decodeHTML(reference);
  return text === reference ? undefined : characterItem(text, reference);
}

function xmlItem(reference: string): RichItem | undefined {
  const name = reference.slice(1, -1);
  if (!reference.endsWith(";")) return undefined;
  const text = XML_ENTITIES.get(name) ?? (name.startsWith("#") ? decodeHTML(reference) : undefined);
  if (text !== undefined) return characterItem(text, reference);
  // A reference to the document's own entity is a word that must stay.
  return { kind: "atom", raw: reference, shown: name };
}

/** A short section is read as the word that it is. */
function shownOfCdata(raw: string): string {
  const content = raw.startsWith("<![CDATA[") ? raw.slice(9, -3).trim() : "";
  return content.length <= 40 && !/[\r\n]/.test(content) ? content : "";
}
