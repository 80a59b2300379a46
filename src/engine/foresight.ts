/** What the engine expects to need: the policy with its profiles, and prefetching by what it predicts. */
import type { Logger } from "../base/log.ts";
import { architectureOf } from "../arch/registry.ts";
import type { PolicyFactory, SentenceLanguages } from "../experts/contract.ts";
import { horizon, type Predictor } from "../experts/policy/horizon.ts";
import { Prefetcher, type PrefetchStats } from "../experts/prefetch.ts";
import { priorOf } from "../experts/profiles.ts";
import type { ExpertResidency } from "../experts/residency.ts";
import type { ObjectStore } from "../store/contract.ts";
import type { Manifest } from "../store/manifest.ts";
import { Learned } from "./learned.ts";
import type { EngineOptions } from "./protocol.ts";

/** Made before the model is assembled, attached to its residency afterwards. */
export class Foresight {
  #predictor: Predictor | undefined;
  #prefetcher: Prefetcher | undefined;
  #residency: ExpertResidency | undefined;

  private constructor(private readonly learned: Learned, private readonly prefetch: boolean) {}

  static async open(
    options: Pick<EngineOptions, "prefetch" | "diskCache">,
    of: { manifest: Manifest; store: ObjectStore; log: Pick<Logger, "warn"> },
  ): Promise<Foresight> {
    const { manifest, store, log } = of;
    const { plan } = architectureOf(manifest.config).read(manifest.config);
    const { diskCache } = options;
    const folder = diskCache === undefined || diskCache.bytes === 0 ? undefined : diskCache.folder;
    const learned = await Learned.open(manifest, plan, store, { folder, log });
    return new Foresight(learned, options.prefetch ?? true);
  }

  /** For `assemble`. */
  readonly policy: PolicyFactory = (layers) => {
    this.#predictor = horizon(layers, { prior: priorOf(this.learned.profiles, layers) });
    return this.#predictor;
  };

  /** Watches what is routed, where the policy is the one made here. */
  attach(residency: ExpertResidency): void {
    this.#residency = residency;
    if (!this.prefetch || this.#predictor === undefined) return;
    const prefetcher = new Prefetcher(residency, this.#predictor, residency.layers);
    this.#prefetcher = prefetcher;
    residency.onRouting = (layer, experts) => prefetcher.routed(layer, experts);
  }

  running(languages: readonly SentenceLanguages[]): void {
    this.#residency?.languages(languages);
  }

  encoding(): void {
    this.#prefetcher?.encoding();
  }

  stats(): PrefetchStats {
    return this.#prefetcher?.stats() ?? { asked: 0, came: 0, used: 0 };
  }

  /** Keeps what was learned. */
  async close(): Promise<void> {
    if (this.#predictor !== undefined) await this.learned.save(this.#predictor.usage);
  }
}
