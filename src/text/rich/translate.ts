/** Translates segments: bounded batches, attempt after attempt for the sentences whose kept spans did not survive. */
import type { TextOptions, TranslateTexts } from "../documents/contract.ts";
import { TermFinder } from "../glossary.ts";
import { languageOf } from "../languages.ts";
import { ATTEMPTS, type Translated } from "./attempts.ts";
import { escapeIcu, type IcuMessage } from "./icu.ts";
import { hintTexts, render, sentencesOf, type ViewSentence } from "./render.ts";
import { inRow } from "./rows.ts";
import { rawOf, type RichItem, type Segment } from "./segment.ts";
import { type View, viewOf } from "./view.ts";

/** Bounds of one call of the translator, and of the segments that are worked on at once. */
const MAX_TEXTS = 64, MAX_CHARS = 16_384;
/** A segment with more tags or deeper nesting is translated between its tags: their places are then as they were. */
const MAX_POINTS = 300, MAX_DEPTH = 40;
/** Messages inside messages. */
const MAX_MESSAGE_DEPTH = 4;

/** The translations of segments, written in their formats, in order. */
export async function translateSegments(
  segments: readonly Segment[],
  translateTexts: TranslateTexts,
  options: TextOptions,
): Promise<string[]> {
  const run = new Run(translateTexts, options);
  const out: string[] = [];
  let window: Segment[] = [], chars = 0;
  const flush = async () => {
    out.push(...await run.window(window));
    [window, chars] = [[], 0];
    options.onProgress?.(out.length, segments.length);
  };
  for (const segment of segments) {
    window.push(segment);
    for (const item of segment.items) chars += item.kind === "text" ? item.text.length : 8;
    if (window.length >= MAX_TEXTS || chars >= MAX_CHARS) await flush();
  }
  if (window.length > 0) await flush();
  return out;
}

/** Characters (code points) that segments show to a reader, for quotas. */
export function countCharacters(segments: readonly Segment[]): number {
  let count = 0;
  for (const { items } of segments) {
    for (const item of items) {
      if (item.kind !== "text" && item.kind !== "atom") continue;
      const text = item.kind === "text" ? item.text : item.shown + (item.inner?.text ?? "");
      for (const _ of text) count++;
    }
  }
  return count;
}

class Run {
  readonly #language: string;
  readonly #terms: TermFinder | undefined;

  constructor(
    private readonly translateTexts: TranslateTexts,
    private readonly options: TextOptions,
  ) {
    this.#language = languageOf(options.source).code;
    this.#terms = options.glossary === undefined ? undefined : new TermFinder(options.glossary);
  }

  /** A window of segments at once. */
  async window(segments: readonly Segment[], depth = 0): Promise<string[]> {
    const cut = segments.map((s) => isSimple(s.items) ? inRow(s) ?? [s] : betweenTags(s));
    const flat = cut.flat().filter((s) => typeof s !== "string");
    const views = flat.map((s) => viewOf(s, this.#language, this.#terms));
    await this.#messages(flat, views, depth);
    const hints = await this.#ask(views.flatMap((v) => v.points.length > 0 ? hintTexts(v) : []));
    const sentences = views.map((v) => sentencesOf(v));
    const translated = await this.#sentences(sentences.flat());
    const written: (string | undefined)[] = flat.map((segment, i) => {
      const byPart = new Map(sentences[i]!.map((s) => [s.part, translated.get(s)!]));
      return render(segment, views[i]!, sentences[i]!, byPart, hints);
    });
    await this.#placedBadly(flat, written);
    let next = 0;
    const put = (part: string | Segment) => typeof part === "string" ? part : written[next++];
    return cut.map((parts) => parts.map(put).join(""));
  }

  /** Segments whose tags found no place: the texts between their tags are translated one by one. */
  async #placedBadly(segments: readonly Segment[], written: (string | undefined)[]): Promise<void> {
    const bad = segments.flatMap((segment, i) =>
      written[i] === undefined ? [{ i, parts: betweenTags(segment) }] : []
    );
    const inner = bad.flatMap(({ parts }) => parts).filter((p) => typeof p !== "string");
    const texts = inner.length === 0 ? [] : await this.window(inner);
    let next = 0;
    for (const { i, parts } of bad) {
      written[i] = parts.map((p) => typeof p === "string" ? p : texts[next++]).join("");
    }
  }

  /** Sentences by attempts; the last attempt accepts whatever comes. */
  async #sentences(sentences: readonly ViewSentence[]): Promise<Map<ViewSentence, Translated>> {
    const done = new Map<ViewSentence, Translated>();
    let open = sentences;
    for (const attempt of ATTEMPTS) {
      const asked = open.map((sentence) => ({ sentence, texts: attempt.texts(sentence) }));
      const answers = await this.#ask(asked.flatMap(({ texts }) => texts ?? []));
      open = asked.filter(({ sentence, texts }) => {
        const found = texts && attempt.accept(sentence, texts.map((t) => answers.get(t)!));
        if (found !== undefined) done.set(sentence, found);
        return found === undefined;
      }).map(({ sentence }) => sentence);
      if (open.length === 0) break;
    }
    return done;
  }

  /** Messages inside ICU arguments, and texts inside atoms, become their new bytes. */
  async #messages(
    segments: readonly Segment[],
    views: readonly View[],
    depth: number,
  ): Promise<void> {
    const inner: Segment[] = [], owners: { count: number; put(written: string[]): void }[] = [];
    for (const [i, { spans, points }] of views.entries()) {
      const outer = segments[i]!;
      for (const span of depth < MAX_MESSAGE_DEPTH ? spans : []) {
        const messages = span.icu?.pieces.filter((p) => typeof p !== "string") ?? [];
        if (messages.length === 0) continue;
        inner.push(...messages.map((message) => messageSegment(message, outer)));
        const put = (written: string[]) =>
          span.raw = span.icu!.pieces.map((p) => typeof p === "string" ? p : written.shift()!)
            .join("");
        owners.push({ count: messages.length, put });
      }
      for (const point of points) {
        if (point.inner === undefined) continue;
        const { before, text, after } = point.inner;
        inner.push({ ...outer, items: [{ kind: "text", text }] });
        owners.push({ count: 1, put: ([written]) => point.raw = before + written + after });
      }
    }
    if (inner.length === 0) return;
    const written = await this.window(inner, depth + 1);
    let next = 0;
    for (const { count, put } of owners) put(written.slice(next, next += count));
  }

  /** Translations by text, each text asked for once, in calls within the bounds. */
  async #ask(texts: readonly string[]): Promise<Map<string, string>> {
    const answers = new Map<string, string>();
    let batch: string[] = [], chars = 0;
    const flush = async () => {
      const { signal } = this.options;
      signal?.throwIfAborted();
      const found = await this.translateTexts(batch, signal);
      if (found.length !== batch.length) {
        throw new RangeError(`${batch.length} texts have ${found.length} translations`);
      }
      for (const [i, text] of batch.entries()) answers.set(text, found[i]!);
      [batch, chars] = [[], 0];
    };
    for (const text of new Set(texts)) {
      if (batch.length === MAX_TEXTS || batch.length > 0 && chars + text.length > MAX_CHARS) {
        await flush();
      }
      batch.push(text);
      chars += text.length;
    }
    if (batch.length > 0) await flush();
    return answers;
  }
}

function messageSegment({ message, plural }: IcuMessage, outer: Segment): Segment {
  return {
    items: messageItems(message, plural),
    escape: (text) => outer.escape(escapeIcu(text)),
    splitSentences: "nonewlines",
  };
}

/** A message's text; in a plural # is kept. */
function messageItems(message: string, plural: boolean): RichItem[] {
  if (!plural) return [{ kind: "text", text: message }];
  return message.split(/(#)/).map((text): RichItem =>
    text === "#"
      ? { kind: "atom", raw: "#", shown: "#", span: "placeholder" }
      : { kind: "text", text }
  );
}

function isSimple(items: readonly RichItem[]): boolean {
  let points = 0, depth = 0;
  for (const item of items) {
    if (item.kind === "open") depth++;
    if (item.kind === "close") depth--;
    if (item.kind !== "text") points++;
    if (points > MAX_POINTS || depth > MAX_DEPTH) return false;
  }
  return true;
}

/** A segment's texts between its tags, each a segment, and the tags' bytes. */
function betweenTags(segment: Segment): (string | Segment)[] {
  const parts: (string | Segment)[] = [];
  let items: RichItem[] = [];
  const flush = () => {
    if (items.length > 0) parts.push({ ...segment, items });
    items = [];
  };
  for (const item of segment.items) {
    if (item.kind === "text" || item.kind === "atom" && item.shown !== "") items.push(item);
    else {
      flush();
      const inner = item.kind === "atom" ? item.inner : undefined;
      if (inner === undefined) parts.push(rawOf([item]));
      else {
        const text: RichItem = { kind: "text", text: inner.text };
        parts.push(inner.before, { ...segment, items: [text] }, inner.after);
      }
    }
  }
  flush();
  return parts;
}
