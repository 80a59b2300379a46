/** Plain texts: what stands in them that is no language is kept, tags in them are put over the words they were over. */
import type { SplitSentences, TextOptions, TranslateTexts } from "./documents/contract.ts";
import { htmlEvents } from "./markup/html.ts";
import { isMarkedKept } from "./markup/rules.ts";
import { rawOf, type RichItem, type Segment } from "./rich/segment.ts";
import { endsSentence, isBlankToFill } from "./rich/tags.ts";
import { translateSegments } from "./rich/translate.ts";

/** Translates plain texts. Line breaks are kept unless `splitSentences` says otherwise. */
export async function translateStrings(
  texts: readonly string[],
  translateTexts: TranslateTexts,
  options: TextOptions,
): Promise<string[]> {
  const mode = options.splitSentences ?? "on";
  return await translateSegments(texts.map((t) => stringSegment(t, mode)), translateTexts, options);
}

/** A segment of plain text. `escape` writes translated text; `rawText` says what the text's own bytes are. */
export function stringSegment(
  text: string,
  splitSentences: SplitSentences,
  escape: (text: string) => string = (out) => out,
): Segment {
  return { items: taggedItems(text), escape, splitSentences };
}

/** Tags as people write them into messages: <b>, </a>, <x id="1"/>, <br/>. */
const TAG = /<(\/?)([A-Za-z][\w:.-]{0,60})((?:\s[^<>]{0,1000}|(?<=<[bh]r)\/)?)>/gi;

/** Elements whose text is no language: it is kept. */
const KEPT_ELEMENTS = new Set(["code", "kbd", "samp", "var", "tt"]);

/** In deeper nests the outermost tags are points: what is kept is copied once for each level. */
const MAX_DEPTH = 60;

/** A text with its tags as items: pairs where they nest, breaks between blocks, words to fill in, points elsewhere. */
export function taggedItems(text: string): RichItem[] {
  const items: RichItem[] = [];
  const open: { name: string; at: number }[] = [];
  let at = 0, pairs = 0;
  for (const match of text.matchAll(TAG)) {
    if (match.index > at) items.push({ kind: "text", text: text.slice(at, match.index) });
    at = match.index + match[0].length;
    const [raw, slash, name, rest] = match as unknown as [string, string, string, string];
    const isBreak = endsSentence(name) &&
      (slash === "" ? !saysKept(raw) : !open.some((o) => o.name === name));
    if (isBreak) {
      items.push({ kind: "atom", raw, shown: "\n", span: "tag" });
      continue;
    }
    items.push({ kind: "atom", raw, shown: "" });
    if (slash === "" && !rest.endsWith("/")) open.push({ name, at: items.length - 1 });
    if (open.length > MAX_DEPTH) open.shift();
    if (slash === "") continue;
    // Only the innermost open tag can be closed; one that never is stays a point.
    let last = open.length - 1;
    while (last >= Math.max(0, open.length - 8) && open[last]!.name !== name) last--;
    if (last < 0 || open[last]?.name !== name) continue;
    const pair = pairs++;
    items[open[last]!.at] = { kind: "open", raw: rawAt(items, open[last]!.at), pair };
    items[items.length - 1] = { kind: "close", raw, pair };
    const isCode = KEPT_ELEMENTS.has(name.toLowerCase());
    if (isCode || saysKept(rawAt(items, open[last]!.at))) {
      const inside = items.splice(open[last]!.at);
      items.push({
        kind: "atom",
        raw: rawOf(inside),
        shown: inside.map(shownOf).join(""),
        span: isCode ? "code" : "kept",
      });
    }
    open.length = last;
  }
  if (at < text.length) items.push({ kind: "text", text: text.slice(at) });
  return items.map((item) =>
    item.kind === "atom" && item.shown === "" && isBlankToFill(item.raw)
      ? { ...item, shown: item.raw, span: "tag" }
      : item
  );
}

function rawAt(items: readonly RichItem[], at: number): string {
  const item = items[at]!;
  return item.kind === "text" ? "" : item.raw;
}

function shownOf(item: RichItem): string {
  return item.kind === "text" ? item.text : item.kind === "atom" ? item.shown : "";
}

/** Whether an open tag has translate="no" or the class notranslate. */
function saysKept(tag: string): boolean {
  if (!/translate/i.test(tag)) return false;
  const event = htmlEvents(tag)[0];
  return event?.kind === "open" && isMarkedKept(event, tag, "html");
}
