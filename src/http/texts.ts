/** Texts to translations, whichever API asked: detection, markup, terms and alternatives over the engine. */
import type { Context } from "hono";
import type { Engine } from "../engine/protocol.ts";
import type { MarkupOptions, TextOptions, TranslateTexts } from "../text/documents/contract.ts";
import { translateMarkup } from "../text/markup/translate.ts";
import { translateStrings } from "../text/strings.ts";
import { chargeFor } from "./charges.ts";
import { type OnDelta, translateInDeltas } from "./deltas.ts";
import { chooseSources, type ChosenSource } from "./detection.ts";
import type { HttpEnv, HttpOptions } from "./options.ts";
import { loadedModel } from "./ready.ts";
import { codePoints, searchParams, type SearchWishes } from "./search.ts";
import { Versions } from "./versions.ts";

/** What a request wants translated. */
export interface TextJob {
  readonly texts: readonly string[];
  /** FLORES code; undefined where each text's language is to be detected. */
  readonly source: string | undefined;
  readonly target: string;
  readonly format: "text" | "html" | "xml";
  readonly wishes: SearchWishes;
  /** Tags, terms and where sentences end. */
  readonly rules?: Omit<MarkupOptions, "source" | "target" | "signal" | "onProgress">;
}

/** One text's translation. */
export interface TextAnswer {
  readonly text: string;
  /** Others, best first, each different from the rest. */
  readonly alternatives: string[];
  readonly source: ChosenSource;
}

/** Texts with tags that are worked on together, so that the engine has sentences of several in a batch. */
const PAGES_AT_ONCE = 8;

/** What is done once for all texts of one language. */
interface Group {
  readonly texts: readonly string[];
  readonly options: TextOptions;
  readonly job: TextJob;
}

/** Translates for a request: charges its client, counts its facts, stops when it leaves. */
export async function translateFor(
  c: Context<HttpEnv>,
  engine: Engine,
  options: HttpOptions,
  job: TextJob,
  onDelta?: OnDelta,
): Promise<TextAnswer[]> {
  const info = loadedModel(engine);
  const sources = await chooseSources(job, info, options);
  const search = searchParams(job.wishes, info, options);
  const counts = job.texts.map(codePoints);
  const characters = counts.reduce((sum, n) => sum + n, 0);
  const facts = c.get("facts");
  const { target, format } = job;
  Object.assign(facts, { source: sources[0]!.flores, target, format });
  Object.assign(facts, { texts: job.texts.length, characters, beams: search.beams });
  const charges = chargeFor(counts, c.get("client"), options.access);
  // What fails in one text stops the others that are worked on beside it.
  const stop = new AbortController();
  const signal = AbortSignal.any([c.req.raw.signal, stop.signal]);
  const sinceMs = performance.now();
  try {
    const answers: TextAnswer[] = [];
    for (const source of new Set(sources.map((s) => s.flores))) {
      const places = sources.flatMap((s, i) => s.flores === source ? [i] : []);
      const versions = new Versions(engine, { ...search, source, target }, {
        timeoutMs: options.limits.requestTimeoutMs,
        sinceMs,
      });
      const found = await translateGroup(
        {
          texts: places.map((i) => job.texts[i]!),
          options: { ...job.rules, source, target, signal },
          job,
        },
        versions,
        onDelta && ((n, text) => {
          charges.told(places[n]!, text);
          onDelta(places[n]!, text);
        }),
      );
      for (const [n, i] of places.entries()) answers[i] = { ...found[n]!, source: sources[i]! };
      versions.addTo(facts);
    }
    return answers;
  } catch (thrown) {
    stop.abort();
    charges.takeBack();
    throw thrown;
  }
}

/** The best version of each text, then the further ones from the same beams. */
async function translateGroup(
  group: Group,
  versions: Versions,
  onDelta: OnDelta | undefined,
): Promise<Omit<TextAnswer, "source">[]> {
  const { texts, options, job } = group;
  const whole = (done: readonly string[]) => done.forEach((text, i) => onDelta?.(i, text));
  if (options.source === options.target) {
    // What is in the target language already stays as it is.
    whole(texts);
    return texts.map((text) => ({ text, alternatives: [] }));
  }
  const inDeltas = onDelta !== undefined && job.format === "text";
  const best = inDeltas
    ? await translateInDeltas(texts, { versions, options, onDelta })
    : await translateAll(group, versions.rank(0));
  if (!inDeltas) whole(best);
  const others: string[][] = [];
  for (let rank = 1; rank <= versions.params.alternatives; rank++) {
    others.push(await translateAll(group, versions.rank(rank)));
  }
  return best.map((text, i) => ({
    text,
    alternatives: [...new Set(others.map((version) => version[i]!))].filter((o) => o !== text),
  }));
}

async function translateAll(
  { texts, options, job }: Group,
  translate: TranslateTexts,
): Promise<string[]> {
  if (job.format === "text") return [...await translateStrings(texts, translate, options)];
  const { format } = job;
  const done: string[] = [];
  for (let at = 0; at < texts.length; at += PAGES_AT_ONCE) {
    const pages = texts.slice(at, at + PAGES_AT_ONCE);
    done.push(
      ...await Promise.all(pages.map((page) => translateMarkup(page, format, translate, options))),
    );
  }
  return done;
}
