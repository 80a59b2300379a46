/**
 * Greedy and beam search of one sentence, pure: it is told the best continuations of its hypotheses and says
 * which go on. Equal to transformers' generate() in what it keeps, how it scores and when it stops
 * (tests/goldens/README.md has the rules); greedy is a beam of one.
 */

export interface SearchOptions {
  /** Width; 1 is greedy. */
  readonly beams: number;
  /** score = sum of log-probabilities / length ^ lengthPenalty; the length counts the language token and the end. */
  readonly lengthPenalty: number;
  /** Most generated tokens, the language token and the end included. */
  readonly maxTokens: number;
  /** Stop as soon as `beams` hypotheses have ended. */
  readonly earlyStopping?: boolean;
  /** Any of these ends a hypothesis. */
  readonly eos: readonly number[];
}

/** A hypothesis that still runs: its generated tokens (language token first) and their summed log-probability. */
export interface Running {
  readonly tokens: readonly number[];
  readonly sum: number;
}

/** A hypothesis that has ended. */
export interface Finished {
  readonly tokens: readonly number[];
  readonly score: number;
}

/** Continuations of one running hypothesis, best first. */
export interface Continuations {
  readonly ids: ArrayLike<number>;
  readonly logProbs: ArrayLike<number>;
}

interface Candidate {
  parent: number;
  token: number;
  sum: number;
}

export class Search {
  #running: Running[];
  readonly #finished: Finished[] = [];
  #done = false;

  /** `forced` are the first generated tokens; their log-probabilities count as 0. */
  constructor(private readonly options: SearchOptions, forced: readonly number[] = []) {
    this.#running = [{ tokens: forced, sum: 0 }];
    // A limit of the forced tokens leaves no room for a step.
    if (options.maxTokens <= forced.length) {
      this.#end(this.#running.map((r, parent) => ({ parent, token: -1, sum: r.sum })));
    }
  }

  get running(): readonly Running[] {
    return this.#running;
  }

  /** Tokens that every outcome will begin with, where that is known: under greedy search. */
  get certain(): readonly number[] | undefined {
    return this.options.beams === 1 ? this.#running[0]?.tokens : undefined;
  }

  get done(): boolean {
    return this.#done;
  }

  /** Continuations that are needed of each running hypothesis. */
  get candidates(): number {
    return this.options.beams === 1 ? 1 : 2 * this.options.beams;
  }

  /** Ended hypotheses, best first. */
  get finished(): readonly Finished[] {
    return this.#finished;
  }

  /**
   * One step. `continuations` has one entry a running hypothesis. Returns, for each hypothesis that runs on,
   * the index of the one it continues; its K/V are that one's and one token more.
   */
  advance(continuations: readonly Continuations[]): number[] {
    const { beams, eos, maxTokens } = this.options;
    const ranked = this.#rank(continuations);
    const length = this.#running[0]!.tokens.length + 1;
    if (length >= maxTokens) {
      this.#end(ranked.slice(0, beams));
      return [];
    }
    ranked.forEach((c, rank) => {
      if (eos.includes(c.token) && rank < beams) this.#keep(c, length);
    });
    const next = ranked.filter((c) => !eos.includes(c.token)).slice(0, beams);
    this.#running = next.map((c) => ({
      tokens: [...this.#running[c.parent]!.tokens, c.token],
      sum: c.sum,
    }));
    if (this.#mayStop(length)) {
      this.#done = true;
      this.#running = [];
      return [];
    }
    return next.map((c) => c.parent);
  }

  /** The 2 * beams best (hypothesis, token) by summed log-probability (greedy: the one best). */
  #rank(continuations: readonly Continuations[]): Candidate[] {
    const all: Candidate[] = [];
    continuations.forEach((c, parent) => {
      const sum = this.#running[parent]!.sum;
      for (let i = 0; i < this.candidates; i++) {
        all.push({ parent, token: c.ids[i]!, sum: sum + c.logProbs[i]! });
      }
    });
    all.sort((a, b) => b.sum - a.sum || a.parent - b.parent || a.token - b.token);
    return all.slice(0, this.candidates);
  }

  #mayStop(length: number): boolean {
    const { beams, earlyStopping, lengthPenalty } = this.options;
    if (this.#running.length === 0) return true;
    if (this.#finished.length < beams) return false;
    if (earlyStopping) return true;
    const best = this.#running[0]!.sum / length ** lengthPenalty;
    return best <= this.#finished[this.#finished.length - 1]!.score;
  }

  /** The length limit: what leads now ends, whatever its last token. */
  #end(candidates: readonly Candidate[]): void {
    for (const c of candidates) {
      const parent = this.#running[c.parent]!.tokens;
      this.#keep(c, c.token < 0 ? parent.length : parent.length + 1);
    }
    this.#running = [];
    this.#done = true;
  }

  #keep(c: Candidate, length: number): void {
    const parent = this.#running[c.parent]!.tokens;
    const tokens = c.token < 0 ? [...parent] : [...parent, c.token];
    this.#finished.push({ tokens, score: c.sum / length ** this.options.lengthPenalty });
    this.#finished.sort((a, b) => b.score - a.score);
    this.#finished.length = Math.min(this.#finished.length, this.options.beams);
  }
}
