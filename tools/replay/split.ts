/** A policy under a quota: each stack has its share of the slots by right, as `SlotTable` deals them out. */
import type { ExpertKey, Stack } from "../../src/base/plan.ts";
import type { Policy, PolicyLayer, SentenceLanguages } from "../../src/experts/contract.ts";
import { firstKeys } from "../../src/experts/trace.ts";

/** For replays; in the engine the quota is the slot table's. */
export class SplitPolicy implements Policy {
  readonly name: string;
  readonly #inner: Policy;
  readonly #decoderFrom: ExpertKey;
  readonly #held = { encoder: 0, decoder: 0 };
  readonly #quota: Record<Stack, number>;
  #loading: Stack = "encoder";

  constructor(
    layers: readonly PolicyLayer[],
    slots: number,
    encoderShare: number,
    inner: () => Policy,
  ) {
    this.#inner = inner();
    this.name = `${this.#inner.name} under a quota`;
    this.#decoderFrom = firstKeys(layers)[layers.filter((l) => l.stack === "encoder").length]!;
    const encoder = Math.round(slots * encoderShare);
    this.#quota = { encoder, decoder: slots - encoder };
  }

  languages(running: readonly SentenceLanguages[]): void {
    this.#inner.languages?.(running);
  }

  visit(layer: number, keys: readonly ExpertKey[]): void {
    if (keys.length > 0) this.#loading = this.#stackOf(keys[0]!);
    this.#inner.visit?.(layer, keys);
  }

  hit(key: ExpertKey): void {
    this.#inner.hit(key);
  }

  load(key: ExpertKey): void {
    this.#held[this.#stackOf(key)]++;
    this.#inner.load(key);
  }

  evict(key: ExpertKey): void {
    this.#held[this.#stackOf(key)]--;
    this.#inner.evict(key);
  }

  victim(free: (key: ExpertKey) => boolean): ExpertKey | undefined {
    const own = this.#loading;
    const other: Stack = own === "encoder" ? "decoder" : "encoder";
    const of = (s: Stack) => this.#inner.victim((key) => this.#stackOf(key) === s && free(key));
    return this.#held[own] >= this.#quota[own] ? of(own) ?? of(other) : of(other) ?? of(own);
  }

  #stackOf(key: ExpertKey): Stack {
    return key < this.#decoderFrom ? "encoder" : "decoder";
  }
}
