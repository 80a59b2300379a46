/** Texts translated piece by piece: what is told is in order, and joined it is the translation. */
import { isPrompted } from "../engine/protocol.ts";
import { languageOf } from "../text/languages.ts";
import type { TextOptions } from "../text/documents/contract.ts";
import { TermFinder } from "../text/glossary.ts";
import { viewOf } from "../text/rich/view.ts";
import { stringSegment, translateStrings } from "../text/strings.ts";
import type { Versions } from "./versions.ts";

/** Gets the next piece of a text. */
export type OnDelta = (index: number, text: string) => void;

/** A part of a text: what stands between sentences, or a sentence with what is known of its translation. */
interface Part {
  readonly source: string;
  readonly kind: "kept" | "plain" | "guarded" | "whole";
  ready: string;
  done: boolean;
}

/** What every part is translated with. */
interface How {
  readonly versions: Versions;
  readonly options: TextOptions;
}

/** Sentences that are guarded are asked for in groups of so many, so that the first is not kept waiting by the last. */
const GROUP = 4;

/** Sentences that the engine is asked for at once: its queue has room for others' beside them. */
const MOST_PLAIN = 64;

/**
 * Translates plain texts for a stream. Under greedy search a sentence without anything to keep is told token by token
 * as the model writes it; every other sentence when it is done, its placeholders, numbers and terms kept, and every
 * sentence of a model that is prompted, which writes more than a translation.
 */
export async function translateInDeltas(
  texts: readonly string[],
  how: How & { onDelta: OnDelta },
): Promise<string[]> {
  const { params, engine } = how.versions;
  const byToken = params.beams === 1 && !isPrompted(engine.info!);
  const plans = texts.map((text) => planOf(text, how.options, byToken));
  const told = texts.map(() => ({ text: "", next: 0 }));
  const tell = (index: number) => {
    const state = told[index]!;
    let delta = "";
    for (; state.next < plans[index]!.length; state.next++) {
      const part = plans[index]![state.next]!;
      delta += part.ready;
      part.ready = "";
      if (!part.done) break;
    }
    state.text += delta;
    if (delta !== "") how.onDelta(index, delta);
  };
  for (const index of plans.keys()) tell(index);
  const parts = plans.flatMap((plan, index) => plan.map((part) => ({ part, index })));
  const of = (kind: Part["kind"]) => parts.filter(({ part }) => part.kind === kind);
  // What fails on one way stops the other.
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, ...how.options.signal ? [how.options.signal] : []]);
  const inner = { ...how, options: { ...how.options, signal } };
  try {
    await Promise.all([
      tellPlain(of("plain"), inner, tell),
      tellGuarded(of("guarded"), inner, tell),
      tellWhole(of("whole"), inner, tell),
    ]);
  } finally {
    stop.abort();
  }
  return told.map(({ text }) => text);
}

type Placed = { readonly part: Part; readonly index: number };

async function tellPlain(
  parts: readonly Placed[],
  { versions, options }: How,
  tell: (index: number) => void,
): Promise<void> {
  for (let at = 0; at < parts.length; at += MOST_PLAIN) {
    const batch = parts.slice(at, at + MOST_PLAIN);
    const sentences = batch.map(({ part }) => part.source);
    await versions.told(sentences, options.signal, (n, piece) => {
      batch[n]!.part.ready += piece;
      tell(batch[n]!.index);
    });
    for (const { part, index } of batch) {
      part.done = true;
      tell(index);
    }
  }
}

async function tellGuarded(
  parts: readonly Placed[],
  { versions, options }: How,
  tell: (index: number) => void,
): Promise<void> {
  for (let at = 0; at < parts.length; at += GROUP) {
    const group = parts.slice(at, at + GROUP);
    const sentences = group.map(({ part }) => part.source);
    const done = await translateStrings(sentences, versions.rank(0), {
      ...options,
      splitSentences: "off",
    });
    for (const [n, { part, index }] of group.entries()) {
      part.ready = done[n]!;
      part.done = true;
      tell(index);
    }
  }
}

/** Texts that are done as one, with their own sentence splitting. */
async function tellWhole(
  parts: readonly Placed[],
  { versions, options }: How,
  tell: (index: number) => void,
): Promise<void> {
  for (const { part, index } of parts) {
    [part.ready] = await translateStrings([part.source], versions.rank(0), options) as [string];
    part.done = true;
    tell(index);
  }
}

/** A text's parts; a single one where tags or messages reach over sentences. */
function planOf(text: string, options: TextOptions, byToken: boolean): Part[] {
  const language = languageOf(options.source).code;
  const terms = options.glossary && new TermFinder(options.glossary);
  const segment = stringSegment(text, options.splitSentences ?? "on");
  const view = viewOf(segment, language, terms);
  const apart = view.text === text && view.points.length === 0 &&
    segment.items.every((item) => item.kind === "text") &&
    view.spans.every((span) => span.icu === undefined);
  if (!apart) return [{ source: text, kind: "whole", ready: "", done: false }];
  return view.parts.map(({ start, end, translate }): Part => {
    const source = text.slice(start, end);
    if (!translate) return { source, kind: "kept", ready: source, done: true };
    const spans = view.spans.some((span) => span.start < end && span.end > start);
    const kind = byToken && !spans ? "plain" : "guarded";
    return { source, kind, ready: "", done: false };
  });
}
