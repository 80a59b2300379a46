/** Watches what a policy is told and keeps it as a trace. */
import type { ExpertKey } from "../base/plan.ts";
import type { Policy, PolicyLayer, SentenceLanguages } from "./contract.ts";
import { firstKeys, type Visit } from "./trace.ts";

/** Collects visits; `wrap` puts it around any policy, which then works as before. */
export class TraceRecorder {
  readonly visits: Visit[] = [];
  readonly #first: readonly ExpertKey[];
  #sentence: SentenceLanguages | undefined;

  constructor(readonly layers: readonly PolicyLayer[]) {
    this.#first = firstKeys(layers);
  }

  /** The next visit begins a sentence of these languages. */
  sentence(sentence: SentenceLanguages): void {
    this.#sentence = sentence;
  }

  wrap(policy: Policy): Policy {
    return {
      name: policy.name,
      visit: (layer, keys) => {
        this.#visit(layer, keys);
        policy.visit?.(layer, keys);
      },
      hit: (key) => policy.hit(key),
      load: (key) => policy.load(key),
      evict: (key) => policy.evict(key),
      victim: (free) => policy.victim(free),
    };
  }

  #visit(layer: number, keys: readonly ExpertKey[]): void {
    const experts = keys.map((k) => k - this.#first[layer]!).sort((a, b) => a - b);
    this.visits.push({ layer, experts, sentence: this.#sentence });
    this.#sentence = undefined;
  }
}
