/** Texts of files through an engine, for the commands that translate: which pair, how to search, what if the queue is full. */
import type { Values } from "../base/config.ts";
import { errorCode, errorText, MoqeError } from "../base/errors.ts";
import {
  type Engine,
  isPrompted,
  type ModelInfo,
  type TranslateParams,
} from "../engine/protocol.ts";
import { pairSides } from "../store/manifest.ts";
import { findLanguage } from "../text/languages.ts";
import type { searchFlags } from "./flags.ts";
import { orAborted } from "./interrupt.ts";
import { floresPair, pairsText } from "./pairs.ts";

/** All that a translation needs beside its texts. */
export type Settings = Omit<TranslateParams, "texts">;

/** The pair that two codes name. Throws MoqeError `bad_input` with what the model was trained for. */
export function trainedPair(
  from: string,
  to: string,
  info: ModelInfo,
): { source: string; target: string } {
  const source = findLanguage(from)?.flores, target = findLanguage(to)?.flores;
  const pair = info.pairs.find((p) => p.source === source && p.target === target);
  if (pair !== undefined) return pair;
  if (from === "auto") {
    throw new MoqeError("bad_input", {
      action: `translate from auto to ${to}`,
      rule: "lines of standard input have no language of their own that is told; files have",
      remedy: "name it with --from, or say --format text",
    });
  }
  const prompted = isPrompted(info);
  throw new MoqeError("bad_input", {
    action: `translate from ${from} to ${to}`,
    rule: `${info.name} ${prompted ? "is asked for" : "was trained for"} ${pairsText(info.pairs)}`,
    ...prompted &&
      { remedy: "a model that is prompted is asked for others when packed with --pairs" },
  });
}

/** The trained pairs that --pairs names; all without it. Throws MoqeError `bad_input` for one that is none. */
export function wantedPairs(
  given: readonly string[],
  info: ModelInfo,
): { source: string; target: string }[] {
  if (given.length === 0) return info.pairs;
  return given.map((pair) => {
    const { source, target } = pairSides(floresPair(pair));
    return trainedPair(source, target, info);
  });
}

/** Texts of a file, one a line; what follows a tab (a translation) is left out. Throws MoqeError `bad_input`. */
export function readTexts(command: string, path: string, most: number): string[] {
  const refuse = (observed: string, cause?: unknown) =>
    new MoqeError("bad_input", {
      action: `${command} with ${path}`,
      rule: "it must hold texts in the model's source languages, one a line",
      observed,
      cause,
    });
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (cause) {
    throw refuse(errorText(cause), cause);
  }
  const lines = text.split(/\r?\n/).map((l) => l.split("\t")[0]!.trim());
  const texts = lines.filter((l) => l !== "");
  if (texts.length === 0) throw refuse("no line with text");
  return texts.slice(0, most);
}

/** What the search flags mean for a model. */
export function searchSettings(
  flags: Values<typeof searchFlags>,
  info: ModelInfo,
): Omit<Settings, "source" | "target"> {
  return {
    beams: flags.beams,
    lengthPenalty: flags.lengthPenalty,
    maxTokens: Math.min(flags.maxTokens, info.limits.maxTargetTokens),
    alternatives: 0,
  };
}

/** Translations in order, and the tokens that they took. */
export interface Translated {
  texts: string[];
  targetTokens: number;
}

/** Translates texts in order. Blank ones stay as they are; a batch that the queue has no room for is halved. */
export async function translateTexts(
  engine: Pick<Engine, "translate">,
  settings: Settings,
  texts: readonly string[],
  signal: AbortSignal,
): Promise<Translated> {
  const full = texts.flatMap((text, i) => text.trim() === "" ? [] : [i]);
  const results = [...texts];
  if (full.length === 0) return { texts: results, targetTokens: 0 };
  let targetTokens = 0;
  try {
    const asked = { ...settings, texts: full.map((i) => texts[i]!) };
    // An engine gives up between its steps, which of a large batch take seconds: a person does not wait for it.
    const found = await orAborted(engine.translate(asked, { signal }), signal);
    for (const [n, i] of full.entries()) {
      results[i] = found[n]!.text;
      targetTokens += found[n]!.targetTokens;
    }
    return { texts: results, targetTokens };
  } catch (thrown) {
    // What the queue can never take whole is `too_large`, what it has no room for now `overloaded`.
    const code = errorCode(thrown), isTooMuch = code === "overloaded" || code === "too_large";
    if (!isTooMuch || texts.length === 1) throw thrown;
    const half = texts.length >> 1;
    const first = await translateTexts(engine, settings, texts.slice(0, half), signal);
    const second = await translateTexts(engine, settings, texts.slice(half), signal);
    return {
      texts: [...first.texts, ...second.texts],
      targetTokens: first.targetTokens + second.targetTokens,
    };
  }
}
