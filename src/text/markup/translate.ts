/** Translates HTML and XML: everything but text (and a few attributes of HTML) is kept to the byte. */
import { MoqeError } from "../../base/errors.ts";
import type { MarkupKind, MarkupOptions, TranslateTexts } from "../documents/contract.ts";
import type { Segment } from "../rich/segment.ts";
import { countCharacters, translateSegments } from "../rich/translate.ts";
import type { MarkupEvent } from "./events.ts";
import { htmlEvents } from "./html.ts";
import { MarkupRules } from "./rules.ts";
import { markupParts } from "./segments.ts";
import { escapeValue, textCodec } from "./text.ts";
import { xmlEvents } from "./xml.ts";

type OpenEvent = Extract<MarkupEvent, { kind: "open" }>;

/** More tags than this in one text are refused: a person wrote no such page. */
const MAX_EVENTS = 1_000_000;

/** Translates a document or a piece of one. Throws MoqeError `bad_input` for XML that is ill formed. */
export async function translateMarkup(
  text: string,
  kind: MarkupKind,
  translateTexts: TranslateTexts,
  options: MarkupOptions,
): Promise<string> {
  return (await translateMarkupCounted(text, kind, translateTexts, options)).text;
}

/** `translateMarkup`, with the number of characters that were translated. */
export async function translateMarkupCounted(
  text: string,
  kind: MarkupKind,
  translateTexts: TranslateTexts,
  options: MarkupOptions,
): Promise<{ text: string; characters: number }> {
  const events = kind === "html" ? htmlEvents(text) : xmlEvents(text);
  if (events.length > MAX_EVENTS) {
    throw new MoqeError("too_large", {
      action: `read the ${kind.toUpperCase()}`,
      rule: `it may have ${MAX_EVENTS} tags at most`,
      observed: String(events.length),
    });
  }
  const root = events.find((e) => e.kind === "open")?.start;
  const rules = new MarkupRules(kind, options, root);
  const segmenter = {
    rules,
    codec: textCodec(kind),
    splitSentences: options.splitSentences ?? (kind === "html" ? "nonewlines" : "on"),
  };
  // A first pass finds the tags that are not inside of what is kept: their attributes are translated.
  const tags: OpenEvent[] = [];
  markupParts(text, events, { ...segmenter, tag: (event) => (tags.push(event), "") });
  const attributes = await translateAttributes(text, tags, rules, translateTexts, options);
  const tag = (event: OpenEvent) => tagWith(text, event, attributes.values);
  const parts = markupParts(text, events, { ...segmenter, tag });
  const segments = parts.filter((p) => typeof p !== "string");
  const written = await translateSegments(segments, translateTexts, options);
  let next = 0;
  return {
    text: parts.map((p) => typeof p === "string" ? p : written[next++]).join(""),
    characters: attributes.characters + countCharacters(segments),
  };
}

/** Translated values of attributes by where they begin. */
async function translateAttributes(
  text: string,
  tags: readonly OpenEvent[],
  rules: MarkupRules,
  translateTexts: TranslateTexts,
  options: MarkupOptions,
): Promise<{ values: Map<number, string>; characters: number }> {
  const { items } = textCodec("html");
  const starts: number[] = [], segments: Segment[] = [];
  for (const tag of tags) {
    for (const { start, end } of rules.attributes(tag, text)) {
      starts.push(start);
      segments.push({
        items: items(text.slice(start, end)),
        escape: escapeValue,
        splitSentences: options.splitSentences ?? "nonewlines",
      });
    }
  }
  const { onProgress: _, ...quiet } = options;
  const written = await translateSegments(segments, translateTexts, quiet);
  return {
    values: new Map(starts.map((start, i) => [start, written[i]!])),
    characters: countCharacters(segments),
  };
}

/** An open tag with its attributes' translations in place. */
function tagWith(
  text: string,
  event: OpenEvent,
  values: ReadonlyMap<number, string>,
): string {
  let raw = "", at = event.start;
  for (const { start, end, quoted } of event.attributes) {
    const value = values.get(start);
    if (value === undefined || value === text.slice(start, end)) continue;
    raw += text.slice(at, start) + (quoted ? value : `"${value}"`);
    at = end;
  }
  return raw + text.slice(at, event.end);
}
