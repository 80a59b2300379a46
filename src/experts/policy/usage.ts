/** How often each expert is used, by the languages that run: the statistics that predictions are made of. */
import type { Stack } from "../../base/plan.ts";
import type { PolicyLayer, SentenceLanguages } from "../contract.ts";
import { firstKeys } from "../trace.ts";

/** Weights of the newest visit in the three averages: over a thousand visits, a sentence, a few tokens. */
const SLOW = 1 / 1000, MIDDLE = 0.08, FAST = 0.3;
/** A new language's slow average takes its first visits at 1 / (visits + this). */
const TRUST_IN_PRIOR = 4;
/** Weight of the newest visit in the average over all languages. */
const OVERALL = 1 / 10_000;
/** Sets of languages remembered at once; the one unused longest makes room. */
const MOST_CONTEXTS = 16;

/** Chances of use at a visit of the expert's layer, before anything was seen; all [experts]. */
export type Prior = (stack: Stack, language: string) => Float32Array | undefined;

/** Averages of one language (or mixture of languages) in one stack; arrays are [experts] and [layers]. */
interface Context {
  readonly slow: Float32Array;
  readonly middle: Float32Array;
  readonly fast: Float32Array;
  /** Visits of the expert's layer since its last use. */
  readonly idle: Float32Array;
  readonly visits: Float64Array;
}

/** Numbers of a prediction: see `features`. */
export const FEATURES = 7;

export class Usage {
  readonly #first: readonly number[];
  readonly #contexts = new Map<string, Context>();
  readonly #current: Record<Stack, Context>;
  /** Over all languages: what may be wanted when others come. [experts], and the visits behind it [layers]. */
  readonly #overall: Float32Array;
  readonly #visits: Float64Array;

  constructor(
    readonly layers: readonly PolicyLayer[],
    private readonly prior: Prior = () => undefined,
  ) {
    this.#first = firstKeys(layers);
    this.#overall = new Float32Array(this.#first.at(-1)!);
    this.#visits = new Float64Array(layers.length);
    this.#current = {
      encoder: this.#context("encoder", []),
      decoder: this.#context("decoder", []),
    };
  }

  /**
   * From now on sentences of these languages run: sources decide the encoder's experts, targets the decoder's.
   * Answers the stacks whose languages are others than before.
   */
  languages(running: readonly SentenceLanguages[]): Stack[] {
    if (running.length === 0) return [];
    const turn = (stack: Stack, of: keyof SentenceLanguages): Stack[] => {
      const before = this.#current[stack];
      const distinct = [...new Set(running.map((r) => r[of]))].sort();
      this.#current[stack] = this.#context(stack, distinct);
      return this.#current[stack] === before ? [] : [stack];
    };
    return [...turn("encoder", "source"), ...turn("decoder", "target")];
  }

  /** A layer ran with these experts (places in its layer). */
  visit(layer: number, used: ReadonlySet<number>): void {
    const { stack, count } = this.layers[layer]!;
    const c = this.#current[stack];
    const slow = Math.max(1 / (c.visits[layer]! + TRUST_IN_PRIOR), SLOW);
    c.visits[layer]!++;
    const overall = Math.max(1 / ++this.#visits[layer]!, OVERALL);
    for (let e = 0; e < count; e++) {
      const key = this.#first[layer]! + e;
      const y = used.has(e) ? 1 : 0;
      this.#overall[key]! += (y - this.#overall[key]!) * overall;
      c.slow[key]! += (y - c.slow[key]!) * slow;
      c.middle[key]! += (y - c.middle[key]!) * MIDDLE;
      c.fast[key]! += (y - c.fast[key]!) * FAST;
      c.idle[key] = y === 1 ? 0 : c.idle[key]! + 1;
    }
  }

  /** The chance that a visit of its layer uses the expert, whatever the language. */
  overall(key: number): number {
    return this.#overall[key]!;
  }

  /** The same in the language that runs, over its long run. */
  longRun(layer: number, key: number): number {
    return this.#current[this.layers[layer]!.stack].slow[key]!;
  }

  /** What the next visit's use is predicted from, into `out` [FEATURES]. */
  features(layer: number, key: number, out: Float64Array): void {
    const c = this.#current[this.layers[layer]!.stack];
    const idle = c.idle[key]!;
    out[0] = 1;
    out[1] = logit(c.slow[key]!, 0.0003);
    out[2] = logit(c.fast[key]!, 0.03);
    out[3] = logit(c.middle[key]!, 0.02);
    out[4] = idle === 0 ? 1 : 0;
    out[5] = idle === 1 ? 1 : 0;
    out[6] = idle === 2 || idle === 3 ? 1 : 0;
  }

  /** Learned chances by stack and language, of those that ran alone: what a profile is refined with. */
  learned(): { stack: Stack; language: string; chances: Float32Array; visits: number }[] {
    return [...this.#contexts].flatMap(([id, c]) => {
      const [stack, ...languages] = id.split(" ");
      const visits = Math.max(0, ...c.visits);
      if (languages.length !== 1 || visits === 0) return [];
      return [{ stack: stack as Stack, language: languages[0]!, chances: c.slow, visits }];
    });
  }

  #context(stack: Stack, languages: readonly string[]): Context {
    const id = [stack, ...languages].join(" ");
    const known = this.#contexts.get(id);
    this.#contexts.delete(id);
    const context = known ?? this.#fresh(stack, languages);
    this.#contexts.set(id, context);
    if (this.#contexts.size > MOST_CONTEXTS) {
      const oldest = this.#contexts.keys().next().value!;
      this.#contexts.delete(oldest);
    }
    return context;
  }

  /** Several languages at once use what any of them uses. Without a prior, top-2 of a layer at even odds. */
  #fresh(stack: Stack, languages: readonly string[]): Context {
    const count = this.#first.at(-1)!;
    const slow = new Float32Array(count);
    const priors = languages.map((l) => this.prior(stack, l));
    this.layers.forEach((layer, l) => {
      for (let key = this.#first[l]!; key < this.#first[l + 1]!; key++) {
        const even = Math.min(0.5, 1.4 / layer.count);
        const unused = priors.length === 0
          ? 1 - even
          : priors.reduce((none, p) => none * (1 - (p?.[key] ?? even)), 1);
        slow[key] = 1 - unused;
      }
    });
    return {
      slow,
      middle: slow.slice(),
      fast: slow.slice(),
      idle: new Float32Array(count).fill(1000),
      visits: new Float64Array(this.layers.length),
    };
  }
}

/** Log-odds, kept finite by `floor`. */
function logit(p: number, floor: number): number {
  return Math.log((p + floor) / (1 - p + floor));
}
