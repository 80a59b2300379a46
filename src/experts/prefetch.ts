/** Prefetch: while dense layers run, the next sparse layer's likely experts come in. */
import type { PolicyLayer, Residency } from "./contract.ts";
import type { Predictor } from "./policy/horizon.ts";
import { firstKeys } from "./trace.ts";

export interface PrefetchOptions {
  /** Experts less likely than this are left alone: a wrong guess costs the bandwidth that a right one saves. */
  readonly leastChance?: number;
}

/** What prefetching did. */
export interface PrefetchStats {
  /** Experts asked for early, those that came before their layer ran, and those of them that it used. */
  asked: number;
  came: number;
  used: number;
}

const LEAST_CHANCE = 0.35;
/** Layers that are prepared at once, at most. */
const MOST_LAYERS = 6;

/** What is asked of the residency. */
export interface PrefetchTarget extends Pick<Residency, "prefetch"> {
  readonly freeSlots: number;
  isResident(layer: number, expert: number): boolean;
}

/**
 * Follows the routing of a residency. When a sparse layer has been routed, the one behind it is prepared: by the
 * predictor's chances, which are its language's profile at first and what was learned since. The residency never
 * gives up for it what a running sentence used in its last steps.
 */
export class Prefetcher {
  readonly #first: readonly number[];
  readonly #next: readonly number[];
  readonly #flights = new Map<number, { stop: AbortController; experts: ReadonlySet<number> }>();
  readonly #stats: PrefetchStats = { asked: 0, came: 0, used: 0 };
  readonly #leastChance: number;
  #pending: number | undefined;

  constructor(
    private readonly residency: PrefetchTarget,
    private readonly predictor: Pick<Predictor, "chance">,
    private readonly layers: readonly PolicyLayer[],
    options: PrefetchOptions = {},
  ) {
    this.#first = firstKeys(layers);
    this.#leastChance = options.leastChance ?? LEAST_CHANCE;
    const decoder = layers.findIndex((l) => l.stack === "decoder");
    // Behind the decoder's last sparse layer comes its first again; behind the encoder's last the decoder's first.
    this.#next = layers.map((_, i) => i + 1 < layers.length ? i + 1 : decoder);
  }

  /** A batch of sentences is about to be encoded: the first sparse layer is prepared. */
  encoding(): void {
    if (this.layers[0]?.stack === "encoder") this.#soon(0);
  }

  /** A layer was routed to these experts; called before they are fetched. */
  routed(layer: number, experts: readonly number[]): void {
    const flight = this.#flights.get(layer);
    this.#flights.delete(layer);
    if (flight !== undefined) {
      for (const e of experts) if (flight.experts.has(e)) this.#stats.used++;
      // In a later turn: what the layer needs has joined its flight by then, and only wrong guesses end.
      setTimeout(() => flight.stop.abort(), 0);
    }
    const next = this.#next[layer]!;
    this.#soon(next);
  }

  /** In a later turn: a step that waited for nothing names all its layers at once, and only the last matters. */
  #soon(layer: number): void {
    const scheduled = this.#pending !== undefined;
    this.#pending = layer;
    if (scheduled) return;
    queueMicrotask(() => {
      const pending = this.#pending!;
      this.#pending = undefined;
      this.#prepare(pending);
    });
  }

  stats(): PrefetchStats {
    return { ...this.#stats };
  }

  /** The layer that runs next, and as many behind it as there are empty slots for: a cold start reads ahead. */
  #prepare(from: number): void {
    let room = this.residency.freeSlots;
    for (let ahead = 0, layer = from; ahead < MOST_LAYERS; ahead++, layer = this.#next[layer]!) {
      if (layer < 0 || (ahead > 0 && (layer === from || room <= 0))) return;
      if (this.#flights.has(layer)) continue;
      const likely = this.#likely(layer);
      const experts = ahead === 0 ? likely : likely.slice(0, room);
      room -= experts.length;
      if (experts.length > 0) this.#ask(layer, experts);
    }
  }

  /** Experts that are likely and not there, the likeliest first. */
  #likely(layer: number): number[] {
    const { count } = this.layers[layer]!;
    const likely: { expert: number; chance: number }[] = [];
    for (let expert = 0; expert < count; expert++) {
      if (this.residency.isResident(layer, expert)) continue;
      const chance = this.predictor.chance(layer, this.#first[layer]! + expert);
      if (chance >= this.#leastChance) likely.push({ expert, chance });
    }
    return likely.sort((a, b) => b.chance - a.chance).map((l) => l.expert);
  }

  #ask(layer: number, experts: readonly number[]): void {
    const stop = new AbortController();
    this.#flights.set(layer, { stop, experts: new Set(experts) });
    this.#stats.asked += experts.length;
    this.residency.prefetch(layer, experts, stop.signal).then((came) => this.#stats.came += came);
  }
}
