/** What experts were asked for, by layer and by language: for people to look at. */
import type { ExpertKey } from "../base/plan.ts";
import type { SentenceLanguages } from "./contract.ts";

/** Hits and misses of the passes that a set of target languages was in. */
export interface LanguageUse {
  hits: number;
  misses: number;
}

/** Plain numbers, so that they cross threads. */
export interface HeatSnapshot {
  /** In the model's order of sparse layers: uses of each expert since start, and which are resident. */
  readonly layers: { stack: string; layer: number; uses: number[]; resident: boolean[] }[];
  /** By target languages, joined by + where several ran together. */
  readonly languages: Record<string, LanguageUse>;
}

/** Sets of languages that are told apart; further ones are counted together. */
const MOST_SETS = 64;
const OTHERS = "others";

export class Heat {
  readonly #uses = new Map<ExpertKey, number>();
  readonly #languages = new Map<string, LanguageUse>();
  #current = "";

  languages(running: readonly SentenceLanguages[]): void {
    this.#current = [...new Set(running.map((r) => r.target))].sort().join("+");
  }

  visit(keys: readonly ExpertKey[], isResident: (key: ExpertKey) => boolean): void {
    let hits = 0;
    for (const key of keys) {
      this.#uses.set(key, (this.#uses.get(key) ?? 0) + 1);
      if (isResident(key)) hits++;
    }
    const use = this.#use();
    use.hits += hits;
    use.misses += keys.length - hits;
  }

  snapshot(
    layers: readonly { stack: string; layer: number; count: number }[],
    isResident: (key: ExpertKey) => boolean,
  ): HeatSnapshot {
    let first = 0;
    return {
      layers: layers.map(({ stack, layer, count }) => {
        const keys = Array.from({ length: count }, (_, e) => first + e);
        first += count;
        const uses = keys.map((k) => this.#uses.get(k) ?? 0);
        return { stack, layer, uses, resident: keys.map(isResident) };
      }),
      languages: Object.fromEntries([...this.#languages].map(([k, v]) => [k, { ...v }])),
    };
  }

  #use(): LanguageUse {
    const known = this.#languages.get(this.#current);
    if (known !== undefined) return known;
    const name = this.#languages.size < MOST_SETS ? this.#current : OTHERS;
    const use = this.#languages.get(name) ?? { hits: 0, misses: 0 };
    this.#languages.set(name, use);
    return use;
  }
}
