/**
 * Routing traces of models that nobody here can run: same kinds of skew as a real one, any number of experts.
 * A token is a vector of a Zipf-distributed vocabulary, moved by its sentence's topic; a layer routes it by its own
 * random projection of that vector plus a bias for each language. So experts are popular by language (the biases),
 * recur within a sentence (the topic) and with words (the vocabulary), and layers agree on a token only loosely.
 */
import type { PolicyLayer } from "../../src/experts/contract.ts";
import type { Trace, Visit } from "../../src/experts/trace.ts";

const WIDTH = 24;
const VOCABULARY = 4000;
const TOP_K = 2;

/** Spreads of the parts of a router's logits. */
export interface Skew {
  /** Between languages in a stack, and the share of its variance that all languages have in common. */
  readonly encoderLanguage: number;
  readonly decoderLanguage: number;
  readonly common: number;
  /** Between sentences, and between tokens of one. */
  readonly topic: number;
  readonly token: number;
  /** Between hypotheses of one beam search. */
  readonly beam: number;
}

/**
 * Chosen so that the decoder's persistence (a third to a half of a greedy step's experts recur in the next, four
 * beams use four experts a layer) is what the shipped model's traces show, and so that languages share of their
 * most used experts about what is published for NLLB-MoE-54B (decoder sets overlap by a third, encoder sets by half).
 */
export const REAL_SKEW: Skew = {
  encoderLanguage: 0.9,
  decoderLanguage: 1.6,
  common: 0.4,
  topic: 0.5,
  token: 1,
  beam: 0.5,
};

export interface SynthesisOptions {
  readonly layers: readonly PolicyLayer[];
  readonly sentences: number;
  readonly targets: readonly string[];
  readonly source: string;
  readonly beams: number;
  /** Sentences of one target follow each other, as in a document; else they are mixed. */
  readonly inOrder: boolean;
  readonly seed: number;
  readonly skew?: Skew;
  /** Told what only the generator knows of each sentence, before it is routed. */
  readonly watch?: (router: Router, topic: Float64Array, target: string) => void;
}

/** NLLB-MoE-54B's sparse layers. */
export const NLLB_54B_LAYERS: readonly PolicyLayer[] = (["encoder", "decoder"] as const).flatMap(
  (stack) => Array.from({ length: 6 }, () => ({ stack, count: 128 })),
);

/** Generates a trace; equal options give equal traces. */
export function synthesize(options: SynthesisOptions): Trace {
  const { layers, sentences, targets, source, seed } = options;
  const random = generator(seed);
  const router = new Router(layers, options.skew ?? REAL_SKEW, random);
  const visits: Visit[] = [];
  for (let s = 0; s < sentences; s++) {
    const at = options.inOrder ? s * targets.length / sentences : random() * targets.length;
    const target = targets[Math.floor(at)]!;
    let sentence: Visit["sentence"] = { source, target };
    const topic = gaussians(random, WIDTH);
    options.watch?.(router, topic, target);
    const length = 6 + Math.floor(random() * 36);
    const visit = (layer: number, rows: readonly Float64Array[], language: string) => {
      visits.push({ layer, experts: router.route(layer, rows, language), sentence });
      sentence = undefined;
    };
    const words = Array.from({ length }, () => router.token(topic));
    layers.forEach((l, i) => l.stack === "encoder" && visit(i, words, source));
    for (let step = 0; step < length; step++) {
      const rows = router.hypotheses(router.token(topic), step === 0 ? 1 : options.beams);
      layers.forEach((l, i) => l.stack === "decoder" && visit(i, rows, target));
    }
  }
  const order = options.inOrder ? "one language after the other" : "languages mixed";
  return {
    model: `synthetic, ${layers.length} layers`,
    about: `${sentences} sentences, ${options.beams} beams, ${order}, seed ${seed}`,
    layers,
    visits,
  };
}

/** The made-up model's routers, and the tokens that they see. */
export class Router {
  readonly #vocabulary: Float64Array[];
  readonly #projections: Float64Array[][];
  readonly #popularity: Float64Array[];
  readonly #biases = new Map<string, Float64Array[]>();

  constructor(
    private readonly layers: readonly PolicyLayer[],
    private readonly skew: Skew,
    private readonly random: () => number,
  ) {
    this.#vocabulary = Array.from({ length: VOCABULARY }, () => gaussians(random, WIDTH));
    this.#popularity = layers.map((l) => gaussians(random, l.count));
    this.#projections = layers.map((l) =>
      Array.from({ length: l.count }, () => gaussians(random, WIDTH))
    );
  }

  /** What a sentence is about. */
  topic(): Float64Array {
    return gaussians(this.random, WIDTH);
  }

  /** A word of Zipf's frequency, moved by the topic. */
  token(topic: Float64Array): Float64Array {
    const rank = Math.floor(VOCABULARY ** this.random()) - 1;
    const word = this.#vocabulary[rank]!;
    return word.map((w, i) => this.skew.token * w + this.skew.topic * topic[i]!);
  }

  /** What the beams of one step are at: near each other. */
  hypotheses(token: Float64Array, beams: number): Float64Array[] {
    return Array.from({ length: beams }, (_, b) => {
      if (b === 0) return token;
      const other = gaussians(this.random, WIDTH);
      return token.map((t, i) => t + this.skew.beam * other[i]!);
    });
  }

  /** Distinct experts of all rows, ascending. */
  route(layer: number, rows: readonly Float64Array[], language: string): number[] {
    const bias = this.#bias(layer, language);
    const chosen = new Set<number>();
    for (const row of rows) {
      const logits = this.#projections[layer]!.map((w, e) =>
        bias[e]! + dot(w, row) / Math.sqrt(WIDTH)
      );
      for (let k = 0; k < TOP_K; k++) {
        const best = logits.indexOf(Math.max(...logits));
        chosen.add(best);
        logits[best] = -Infinity;
      }
    }
    return [...chosen].sort((a, b) => a - b);
  }

  #bias(layer: number, language: string): Float64Array {
    const { stack } = this.layers[layer]!;
    const id = `${stack} ${language}`;
    const spread = stack === "encoder" ? this.skew.encoderLanguage : this.skew.decoderLanguage;
    const known = this.#biases.get(id);
    if (known !== undefined) return known[layer]!;
    const { common } = this.skew;
    const biases = this.layers.map((l, i) => {
      const own = gaussians(this.random, l.count);
      const all = this.#popularity[i]!;
      return own.map((g, e) => spread * (Math.sqrt(1 - common) * g + Math.sqrt(common) * all[e]!));
    });
    this.#biases.set(id, biases);
    return biases[layer]!;
  }
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** Uniform numbers in [0, 1), the same for the same seed (Mulberry32). */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Standard normal numbers (Box and Muller). */
function gaussians(random: () => number, count: number): Float64Array {
  return Float64Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  );
}
