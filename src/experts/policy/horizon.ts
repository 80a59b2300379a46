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
 * - the chance that later visits use it: what is missed once waits one whole cycle. What makes it likelier or less so
 *   than its language's long run (a topic, a phrase) lasts some visits, then the long run is all that is known; and
 *   the chance over all languages once the languages change.
 *
 * Patience is a part of the time for which a loaded expert stays before it is given up, which is measured: a small
 * cache looks a few steps ahead, a large one some sentences.
 */
import type { ExpertKey } from "../../base/plan.ts";
import type { Policy, PolicyLayer } from "../contract.ts";
import { firstKeys } from "../trace.ts";
import { Rhythm } from "./rhythm.ts";
import { FEATURES, type Prior, Usage } from "./usage.ts";
import { worst } from "./worst.ts";

/** Patience as a share of an expert's stay, its bounds in decoder steps, and what it is at first. */
const PATIENCE_SHARE = 0.3, LEAST_CYCLES = 1, MOST_CYCLES = 40, FIRST_CYCLES = 10;
/** Loads a visit are averaged over so many visits; patience is set anew after so many. */
const LOADS_VISITS = 1000, PATIENCE_VISITS = 50;
/** The chance that what sets an expert apart from its language's long run lasts from one visit to the next. */
const LASTS = 0.65;
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
  const rhythm = new Rhythm(layers.length + 2, FIRST_CYCLES * cycle);
  const stay = new Stay();
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
    const ever = (q: number) => q / (1 - (1 - q) * round);
    const missed = (1 - p) * round;
    const soon = (p + missed * (1 - LASTS) * ever(usage.longRun(layer, key))) /
      (1 - missed * LASTS);
    const now = rhythm.nearness(here, layer) * soon;
    const other = ever(usage.overall(key));
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
      const cycles = stay.visit() * PATIENCE_SHARE / cycle;
      if (stay.visits % PATIENCE_VISITS === 0) {
        rhythm.waitFor(Math.min(MOST_CYCLES, Math.max(LEAST_CYCLES, cycles)) * cycle);
      }
      rhythm.visit(layer);
      learn(layer, used);
      usage.visit(layer, used);
    },
    hit() {},
    load(key) {
      stay.loads++;
      resident.add(key);
    },
    evict: (key) => void resident.delete(key),
    victim(free) {
      stay.slots = resident.size;
      return worst(resident, free, (key) => -worth(key));
    },
  };
}

/** How long a loaded expert stays: slots by loads a visit (Little's law). */
class Stay {
  /** Experts that were resident when one had to go; 0 before. */
  slots = 0;
  /** Loads since the visit before. */
  loads = 0;
  visits = 0;
  #loadsAVisit = 0;

  /** A layer runs. Answers the visits that an expert stays; endless while nothing has to go. */
  visit(): number {
    const weight = Math.max(1 / ++this.visits, 1 / LOADS_VISITS);
    this.#loadsAVisit += (this.loads - this.#loadsAVisit) * weight;
    this.loads = 0;
    return this.slots === 0 || this.#loadsAVisit === 0 ? Infinity : this.slots / this.#loadsAVisit;
  }
}
