/**
 * The default policy: gives up whatever is least likely to be needed soon. What a cache can gain from an expert is
 * its next use if that comes before the slot is wanted for something better, so experts are ranked by
 * E[exp(-T / patience)], T being the visits until the next use: the density of hits that keeping it buys, when the
 * time that a slot can wait is exponential. It is made of three things that are learned as layers run:
 *
 * - when the expert's layer runs again (`Rhythm`): layers run in cycles, so one just passed is needed furthest away,
 *   and the encoder's only when another sentence begins. This alone divides the slots between the stacks;
 * - the chance that this next visit uses it: a logistic prediction from its averages over a few tokens, a sentence,
 *   and its language's long run, and from how long it has been idle (`Usage`). Its weights are learned on line;
 * - the same chance again for every later visit: what is missed once waits one whole cycle; and the chance over all
 *   languages once the languages change.
 */
import type { ExpertKey } from "../../base/plan.ts";
import type { Policy, PolicyLayer } from "../contract.ts";
import { firstKeys } from "../trace.ts";
import { Rhythm } from "./rhythm.ts";
import { FEATURES, type Prior, Usage } from "./usage.ts";
import { worst } from "./worst.ts";

/** Decoder steps after which a use is worth 1/e of one at once; between 5 and 50 the replays hardly differ. */
const PATIENCE_CYCLES = 10;
/** Weights to start from (bias, slow, fast, middle, idle 0, 1, 2-3), and the step they are learned with. */
const FIRST_WEIGHTS = [-0.3, 0.6, 0.3, 0, 0, 0, 0];
const LEARNING_RATE = 0.01;

export interface HorizonOptions {
  /** Profiles of languages. */
  prior?: Prior | undefined;
}

/** A policy that also says what it expects, for prefetching. */
export interface Predictor extends Required<Policy> {
  /** The chance that the next visit of its layer uses an expert. */
  chance(layer: number, key: ExpertKey): number;
  readonly usage: Usage;
}

/** One instance serves both stacks. */
export function horizon(layers: readonly PolicyLayer[], options: HorizonOptions = {}): Predictor {
  const first = firstKeys(layers);
  const layerOf = Int32Array.from(layers.flatMap((l, i) => Array<number>(l.count).fill(i)));
  const cycle = Math.max(1, layers.filter((l) => l.stack === "decoder").length);
  // A change of languages is watched like a further layer of each stack.
  const change = { encoder: layers.length, decoder: layers.length + 1 };
  const usage = new Usage(layers, options.prior);
  const rhythm = new Rhythm(layers.length + 2, PATIENCE_CYCLES * cycle);
  const weights = layers.map(() => Float64Array.from(FIRST_WEIGHTS));
  const x = new Float64Array(FEATURES);
  const resident = new Set<ExpertKey>();
  let here = 0;

  const chance = (layer: number, key: ExpertKey): number => {
    usage.features(layer, key, x);
    const w = weights[layer]!;
    let sum = 0;
    for (let i = 0; i < FEATURES; i++) sum += w[i]! * x[i]!;
    return 1 / (1 + Math.exp(-sum));
  };
  const learn = (layer: number, used: ReadonlySet<number>) => {
    const w = weights[layer]!;
    for (let e = 0; e < layers[layer]!.count; e++) {
      const step = LEARNING_RATE * ((used.has(e) ? 1 : 0) - chance(layer, first[layer]! + e));
      for (let i = 0; i < FEATURES; i++) w[i]! += step * x[i]!;
    }
  };
  /**
   * E[exp(-T / patience)]: the next visit uses it, or one of those that follow a cycle apart; or else a sentence in
   * another language does.
   */
  const worth = (key: ExpertKey): number => {
    const layer = layerOf[key]!;
    const p = chance(layer, key);
    const round = rhythm.nearness(layer, layer);
    const later = (1 - p) * p * round / (1 - (1 - p) * round);
    const now = rhythm.nearness(here, layer) * (p + later);
    const q = usage.overall(key);
    const other = q / (1 - (1 - q) * round);
    return now + (1 - now) * rhythm.nearness(here, change[layers[layer]!.stack]) * other;
  };
  return {
    name: "horizon",
    usage,
    chance,
    languages(running) {
      for (const stack of usage.languages(running)) rhythm.visit(change[stack]);
    },
    visit(layer, keys) {
      const used = new Set(keys.map((k) => k - first[layer]!));
      here = layer;
      rhythm.visit(layer);
      learn(layer, used);
      usage.visit(layer, used);
    },
    hit() {},
    load: (key) => void resident.add(key),
    evict: (key) => void resident.delete(key),
    victim: (free) => worst(resident, free, (key) => -worth(key)),
  };
}
