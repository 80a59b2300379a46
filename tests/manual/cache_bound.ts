/**
 * How much of the gap between LRU and Belady's MIN could be learned at all, on the generated traces of 128 experts: an
 * oracle that knows every language's chances, how long sentences are, and each sentence's topic from its first token on
 * (but not the tokens to come, nor the next sentence), beside the default policy.
 * `deno run -A tests/manual/cache_bound.ts [seed]`
 */
import { table } from "../../src/cli/tables.ts";
import type { Policy } from "../../src/experts/contract.ts";
import { horizon } from "../../src/experts/policy/horizon.ts";
import { lfu } from "../../tools/replay/lfu.ts";
import { lru } from "../../tools/replay/lru.ts";
import { replay, replayBest } from "../../tools/replay/replay.ts";
import { worst } from "../../src/experts/policy/worst.ts";
import { NLLB_54B_LAYERS, type Router, synthesize } from "../../tools/replay/synthesize.ts";
import { firstKeys, type Trace } from "../../src/experts/trace.ts";

const LAYERS = NLLB_54B_LAYERS, STACK = 6, BEAMS = 4;
const FIRST = firstKeys(LAYERS), EXPERTS = FIRST.at(-1)!;
const TARGETS = ["deu_Latn", "fra_Latn", "spa_Latn"], SOURCE = "eng_Latn";
/** The generator's mean sentence is of 23.5 steps. */
const ENDS = 1 / 23.5;
/** Patience in steps; the best of them counts. */
const PATIENCES = [10, 20, 60, 200];

/** What only the generator knows. */
interface Known {
  readonly inOrder: boolean;
  readonly targets: readonly string[];
  /** Chance of use a visit, by key: of the encoder, of each language's decoder, of each sentence's. */
  readonly encoder: Float64Array;
  readonly language: Readonly<Record<string, Float64Array>>;
  readonly sentence: readonly Float64Array[];
}

function sampled(samples: number, visit: (add: (layer: number, rows: number[]) => void) => void) {
  const chances = new Float64Array(EXPERTS);
  const add = (layer: number, experts: number[]) => {
    for (const e of experts) chances[FIRST[layer]! + e]! += 1 / samples;
  };
  for (let i = 0; i < samples; i++) visit(add);
  return chances;
}

function generated(seed: number, inOrder: boolean): { trace: Trace; known: Known } {
  const sentences: { topic: Float64Array; target: string }[] = [];
  let router: Router | undefined;
  const trace = synthesize({
    ...{ layers: LAYERS, sentences: 120, targets: TARGETS, source: SOURCE, beams: BEAMS },
    ...{ seed, inOrder },
    watch: (r, topic, target) => {
      router = r;
      sentences.push({ topic, target });
    },
  });
  const { topic, token, hypotheses, route } = bound(router!);
  const decoder = (samples: number, about: () => Float64Array, target: string) =>
    sampled(samples, (add) => {
      const rows = hypotheses(token(about()), BEAMS);
      for (let l = STACK; l < LAYERS.length; l++) add(l, route(l, rows, target));
    });
  const encoder = sampled(200, (add) => {
    const about = topic();
    const words = Array.from({ length: 24 }, () => token(about));
    for (let l = 0; l < STACK; l++) add(l, route(l, words, SOURCE));
  });
  const language = Object.fromEntries(TARGETS.map((t) => [t, decoder(400, topic, t)]));
  const sentence = sentences.map((s) => decoder(120, () => s.topic, s.target));
  const targets = sentences.map((s) => s.target);
  return { trace, known: { inOrder, targets, encoder, language, sentence } };
}

function bound(router: Router) {
  return {
    topic: () => router.topic(),
    token: router.token.bind(router),
    hypotheses: router.hypotheses.bind(router),
    route: router.route.bind(router),
  };
}

/** Ranks by E[exp(-T / patience)] with the true chances. */
function oracle(known: Known, patience: number): Policy {
  const fade = Math.exp(-1 / patience);
  const layerOf = Int32Array.from(LAYERS.flatMap((l, i) => Array<number>(l.count).fill(i)));
  const resident = new Set<number>(), value = new Float64Array(EXPERTS);
  let sentence = -1, here = 0;
  /** Of an encoder expert: at the next sentence's start, or one that follows. */
  const encoderValue = (key: number) => {
    const length = ENDS * fade / (1 - (1 - ENDS) * fade), q = known.encoder[key]!;
    return length * q / (1 - (1 - q) * length);
  };
  /** Of a decoder expert at the next step: this sentence goes on, or one of another language follows. */
  const decoderValue = (key: number) => {
    let a = 0, b = 0;
    for (const t of TARGETS) {
      const same = t === known.targets[sentence];
      const weight = known.inOrder ? (same ? 0.975 : 0.0125) : 1 / TARGETS.length;
      const q = known.language[t]![key]!;
      const on = 1 - (1 - q) * fade * (1 - ENDS);
      a += weight * q / on;
      b += weight * (1 - q) * fade * ENDS / on;
    }
    const next = a / (1 - b), p = known.sentence[sentence]![key]!;
    return (p + (1 - p) * fade * ENDS * next) / (1 - (1 - p) * fade * (1 - ENDS));
  };
  const worth = (key: number) => {
    const layer = layerOf[key]!;
    if (layer < STACK) {
      // Those that this sentence's encoding still needs are the nearest of all.
      return here < STACK && layer > here ? 1e9 * known.encoder[key]! : value[key]!;
    }
    const away = here < STACK ? layer - here : (layer - here - 1 + STACK) % STACK;
    return value[key]! * fade ** (away / STACK);
  };
  return {
    name: "oracle",
    languages() {
      sentence++;
      for (let k = 0; k < EXPERTS; k++) {
        value[k] = layerOf[k]! < STACK ? encoderValue(k) : decoderValue(k);
      }
    },
    visit: (layer) => void (here = layer),
    hit() {},
    load: (key) => void resident.add(key),
    evict: (key) => void resident.delete(key),
    victim: (free) => worst(resident, free, (key) => -worth(key)),
  };
}

const rows: string[][] = [];
for (const inOrder of [true, false]) {
  const { trace, known } = generated(Number(Deno.args[0] ?? 1), inOrder);
  for (const share of [0.06, 0.12, 0.25, 0.5]) {
    const slots = Math.round(share * EXPERTS);
    const misses = (policy: Policy) => replay(trace, policy, slots).misses;
    const least = misses(lru()), best = replayBest(trace, slots).misses;
    const ours = misses(horizon(LAYERS));
    const most = Math.min(...PATIENCES.map((p) => misses(oracle(known, p))));
    const gap = (m: number) => `${(100 * (least - m) / (least - best)).toFixed(0)} %`;
    rows.push([
      `${inOrder ? "document order" : "mixed"}, ${100 * share} %`,
      ...[least, misses(lfu()), ours, most, best].map(String),
      gap(ours),
      gap(most),
      `${(100 * (least - ours) / (least - most)).toFixed(0)} %`,
    ]);
  }
}
console.log(table([
  "trace, resident",
  ...["lru", "lfu", "horizon", "oracle", "min"].map((n) => `${n} misses`),
  "horizon of the gap",
  "oracle of the gap",
  "horizon of the oracle's",
], rows));
