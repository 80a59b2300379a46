/** Sentences through the engine, with their n best translations kept as long as one request asks for more of them. */
import { setTimeout } from "node:timers/promises";
import { MoqeError } from "../base/errors.ts";
import { expired } from "../engine/refusals.ts";
import type { Engine, TranslateOptions, TranslateParams, Translation } from "../engine/protocol.ts";
import type { TranslateTexts } from "../text/documents/contract.ts";

/** How long a request that has begun waits for room in the engine's queue before it is refused after all. */
const PATIENCE_MS = 60_000;

/** How the sentences are translated: everything but the sentences. */
export type VersionParams = Omit<TranslateParams, "texts" | "split">;

/** How long a request waits. */
export interface Patience {
  /** Also the first batch waits for room: for work that no client waits for with open hands. */
  patient?: boolean | undefined;
  /** All of it together; then it ends with `expired`. */
  timeoutMs?: number | undefined;
  /** When that time began, by performance.now(); now where it is not given. */
  sinceMs?: number | undefined;
}

/** One request's sentences and their translations by rank. */
export class Versions {
  readonly #kept = new Map<string, Translation>();
  #sourceTokens = 0;
  #targetTokens = 0;
  #begun: boolean;
  readonly #timeoutMs: number | undefined;
  readonly #ends: number;

  constructor(readonly engine: Engine, readonly params: VersionParams, limits: Patience = {}) {
    this.#begun = limits.patient ?? false;
    this.#timeoutMs = limits.timeoutMs;
    this.#ends = (limits.sinceMs ?? performance.now()) + (limits.timeoutMs ?? Infinity);
  }

  /** Gives each sentence's translation of a rank, 0 the best; the last one where there are not so many. */
  rank(rank: number): TranslateTexts {
    return async (texts, signal) => {
      const missing = [...new Set(texts)].filter((t) => !this.#kept.has(t));
      const found = new Map<string, Translation>();
      if (missing.length > 0) {
        const translations = await this.#translate(missing, signal);
        for (const [i, t] of translations.entries()) found.set(missing[i]!, t);
        // Without alternatives nobody asks again.
        if (this.params.alternatives > 0) { for (const [k, t] of found) this.#kept.set(k, t); }
      }
      return texts.map((text) => {
        const { text: best, alternatives } = found.get(text) ?? this.#kept.get(text)!;
        return rank === 0 ? best : alternatives[Math.min(rank, alternatives.length) - 1] ?? best;
      });
    };
  }

  /** Translates sentences and tells each as it comes. */
  async told(
    texts: string[],
    signal: AbortSignal | undefined,
    onText: NonNullable<TranslateOptions["onText"]>,
  ): Promise<void> {
    await this.#translate(texts, signal, onText);
  }

  /** Adds the tokens that were read and written. */
  addTo(facts: Record<string, number | string>): void {
    facts["sourceTokens"] = Number(facts["sourceTokens"] ?? 0) + this.#sourceTokens;
    facts["targetTokens"] = Number(facts["targetTokens"] ?? 0) + this.#targetTokens;
  }

  /** Time that is left of the limit. Throws `expired`. */
  #left(): number | undefined {
    if (this.#timeoutMs === undefined) return undefined;
    const left = this.#ends - performance.now();
    if (left <= 0) throw expired(this.#timeoutMs);
    return Math.ceil(left);
  }

  /** Refuses at once when the queue is full; once begun it waits, since what is done would be lost. */
  async #translate(
    texts: string[],
    signal: AbortSignal | undefined,
    onText?: TranslateOptions["onText"],
  ): Promise<Translation[]> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      try {
        const params = { ...this.params, texts, split: "off" as const };
        const timeoutMs = this.#left();
        const translations = await this.engine.translate(params, { signal, onText, timeoutMs });
        this.#begun = true;
        for (const t of translations) {
          this.#sourceTokens += t.sourceTokens;
          this.#targetTokens += t.targetTokens;
        }
        return translations;
      } catch (thrown) {
        const full = thrown instanceof MoqeError && thrown.code === "overloaded";
        if (!full || !this.#begun || performance.now() > deadline) throw thrown;
        const seconds = Math.min(5, thrown.retryAfterSeconds ?? 1);
        await setTimeout(seconds * 1000, undefined, signal === undefined ? {} : { signal });
      }
    }
  }
}
