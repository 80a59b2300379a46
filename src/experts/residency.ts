/** Experts on demand: what is resident runs first, the rest is fetched, placed and run in waves. */
import { MoqeError } from "../base/errors.ts";
import type { ExpertLayout } from "../base/layout.ts";
import type { ExpertKey, ModelPlan } from "../base/plan.ts";
import {
  type Arena,
  type Backend,
  type DeviceRange,
  placeOf,
  type ResidentExpert,
} from "../backend/contract.ts";
import type { BlockFetcher } from "../store/contract.ts";
import type { Manifest } from "../store/manifest.ts";
import type {
  Hold,
  PolicyFactory,
  PolicyLayer,
  Residency,
  ResidencyStats,
  RoutingObserver,
  SentenceLanguages,
  Wave,
  WavePart,
} from "./contract.ts";
import { bringAhead } from "./ahead.ts";
import { Arrivals, type Arrived } from "./arrivals.ts";
import { Holds } from "./holds.ts";
import { type SlotGeometry, slotGeometry, slottedArenas, unitsOf } from "./geometry.ts";
import { checkedLayouts } from "./layouts.ts";
import { PlaceTable } from "./places.ts";
import { SlotTable } from "./slots.ts";

export interface ResidencyOptions {
  slots: number;
  /** Share of the slots that is the encoder's by right, the rest is the decoder's; left out, the policy decides. */
  encoderShare?: number | undefined;
  policy: PolicyFactory;
}

/** Residency over one backend's arenas. Owns the arenas. */
export class ExpertResidency implements Residency {
  readonly arenas: readonly Arena[];
  onRouting: RoutingObserver | undefined;
  readonly #slots: SlotTable;
  readonly #firstKey: readonly number[];
  readonly #layouts: ExpertLayout[][];
  readonly #distinct: ExpertLayout[][];
  readonly #places: PlaceTable;
  readonly #holds: Holds;
  readonly #counts: Omit<ResidencyStats, "slots" | "slotBytes" | "resident" | "heat">;
  readonly #geometry: SlotGeometry;

  constructor(
    private readonly backend: Backend,
    private readonly manifest: Manifest,
    private readonly plan: ModelPlan,
    private readonly fetcher: BlockFetcher,
    options: ResidencyOptions,
  ) {
    const geometry = this.#geometry = slotGeometry(manifest);
    this.#layouts = checkedLayouts(manifest, plan);
    let key = 0;
    this.#firstKey = plan.expertLayers.map((l) => (key += l.count) - l.count);
    const slots = Math.min(options.slots, geometry.slotsForAll);
    this.arenas = slottedArenas(backend, geometry, slots);
    const policy = options.policy(plan.expertLayers);
    const encoder = Math.round(slots * (options.encoderShare ?? 0));
    this.#slots = new SlotTable(
      slots,
      { encoder: policy, decoder: policy },
      options.encoderShare === undefined ? undefined : { encoder, decoder: slots - encoder },
      geometry.units,
    );
    this.#distinct = this.#layouts.map((list) => [...new Set(list)]);
    this.#places = new PlaceTable(backend, plan.expertLayers.map((l) => l.count));
    this.#holds = new Holds({
      slots,
      isResident: (l, e) => this.isResident(l, e),
      pin: (l, e) => this.#slots.pin(this.#key(l, e)),
      unpin: (l, e) => this.#slots.unpin(this.#key(l, e)),
      put: (l, e, bytes) => this.#put(l, e, bytes),
      fetch: (l, e, signal) =>
        this.fetcher.fetch(manifest.expertLayers[l]!.experts[e]!.block, { signal }),
    });
    this.#counts = { hits: 0, misses: 0, evictions: 0, loads: 0, loadedBytes: 0, waves: 0 };
  }

  async *waves(
    layer: number,
    experts: readonly number[],
    signal?: AbortSignal,
  ): AsyncGenerator<Wave> {
    this.#visit(layer, experts);
    const resident = experts.filter((e) => this.isResident(layer, e));
    const missing = experts.filter((e) => !this.isResident(layer, e));
    this.#counts.hits += resident.length;
    this.#counts.misses += missing.length;
    for (const e of resident) this.#slots.hit(this.#key(layer, e));
    const stop = new AbortController();
    const arrivals = this.#fetchAll(
      layer,
      missing,
      AbortSignal.any([stop.signal, ...signal === undefined ? [] : [signal]]),
    );
    // One block that found every slot pinned by its own wave waits here for the next one.
    const waiting: Arrived[] = [];
    try {
      if (resident.length > 0) yield this.#wave(layer, resident);
      for (let left = missing.length; left > 0;) {
        if (waiting.length === 0) waiting.push(await arrivals.next());
        waiting.push(...arrivals.ready());
        const placed = this.#placeAll(layer, waiting);
        left -= placed.length;
        yield this.#wave(layer, placed);
      }
    } finally {
      stop.abort(new DOMException("the layer no longer needs it", "AbortError"));
      for (const a of waiting) a.block.release();
      arrivals.discard();
    }
  }

  layouts(layer: number): readonly ExpertLayout[] {
    return this.#distinct[layer]!;
  }

  flush(): void {
    this.#places.flush();
  }

  placesOf(layer: number): DeviceRange {
    return this.#places.of(layer);
  }

  get room(): number {
    return this.#holds.room;
  }

  used(layer: number, experts: readonly number[]): void {
    this.#visit(layer, experts);
    this.#counts.hits += experts.length;
    for (const e of experts) if (this.isResident(layer, e)) this.#slots.hit(this.#key(layer, e));
  }

  hold(layer: number, experts: readonly number[], changed: () => void): Hold | undefined {
    if (experts.length > this.#slots.count) return undefined;
    this.#visit(layer, experts);
    const resident = experts.filter((e) => this.isResident(layer, e));
    this.#counts.hits += resident.length;
    this.#counts.misses += experts.length - resident.length;
    for (const e of resident) this.#slots.hit(this.#key(layer, e));
    return this.#holds.add(layer, experts, changed);
  }

  /** Policies and observers are told what a layer is about to run. */
  #visit(layer: number, experts: readonly number[]): void {
    if (experts.length === 0) return;
    const { stack } = this.plan.expertLayers[layer]!;
    this.#slots.visit(stack, layer, experts.map((e) => this.#key(layer, e)));
    this.onRouting?.(layer, experts);
  }

  async prefetch(
    layer: number,
    experts: readonly number[],
    signal?: AbortSignal,
  ): Promise<number> {
    const refs = this.manifest.expertLayers[layer]!.experts;
    return await bringAhead(experts, {
      isResident: (e) => this.isResident(layer, e),
      fetch: (e) => this.fetcher.fetch(refs[e]!.block, { signal, ahead: true }),
      put: (e, bytes) => this.#put(layer, e, bytes, true),
    });
  }

  /** Languages of the sentences that run from now on, for the policy. */
  languages(running: readonly SentenceLanguages[]): void {
    this.#slots.languages(running);
  }

  /** The model's sparse layers. */
  get layers(): readonly PolicyLayer[] {
    return this.plan.expertLayers;
  }

  /** Slots that hold nothing yet. */
  get freeSlots(): number {
    return this.#slots.free;
  }

  isResident(layer: number, expert: number): boolean {
    return this.#slots.slotOf(this.#key(layer, expert)) !== undefined;
  }

  /**
   * Writes an expert's block to a slot of its own; false where every slot is pinned. A `guess` does not take the place
   * of what the last steps used.
   */
  #put(layer: number, expert: number, bytes: Uint8Array, guess = false): boolean {
    const place = this.#slots.place(
      this.#key(layer, expert),
      this.plan.expertLayers[layer]!.stack,
      {
        width: unitsOf(bytes.length, this.#geometry),
        spare: guess ? (key) => !this.#slots.isRecent(key) : undefined,
      },
    );
    if (place === undefined) return false;
    this.#counts.evictions += place.evicted.length;
    for (const key of place.evicted) this.#places.clear(...this.#named(key));
    const { arena, slot } = this.#locate(place.slot);
    const layoutIndex = this.#distinct[layer]!.indexOf(this.#layouts[layer]![expert]!);
    this.#places.set(layer, expert, placeOf(place.slot, layoutIndex));
    this.#counts.loads++;
    this.#counts.loadedBytes += bytes.length;
    this.backend.write(this.arenas[arena]!.buffer, slot * this.#geometry.unitBytes, bytes);
    return true;
  }

  /** Places arrived blocks while there are slots that are not of this very wave. Takes them off `waiting`. */
  #placeAll(layer: number, waiting: Arrived[]): number[] {
    const placed: number[] = [];
    while (waiting.length > 0) {
      const { expert, block } = waiting[0]!;
      // Somebody else may have brought it in while this one was on its way.
      if (!this.isResident(layer, expert) && !this.#put(layer, expert, block.bytes)) break;
      waiting.shift();
      block.release();
      this.#slots.pin(this.#key(layer, expert));
      placed.push(expert);
    }
    for (const e of placed) this.#slots.unpin(this.#key(layer, e));
    if (placed.length === 0) {
      throw new MoqeError("internal", { action: "place an expert", rule: "every slot is pinned" });
    }
    return placed;
  }

  /** Pins a set of resident experts until done. */
  #wave(layer: number, experts: readonly number[]): Wave {
    this.#counts.waves++;
    const parts = new Map<ExpertLayout, ResidentExpert[]>();
    for (const expert of experts) {
      const key = this.#key(layer, expert);
      this.#slots.pin(key);
      const layout = this.#layouts[layer]![expert]!;
      const at = this.#locate(this.#slots.slotOf(key)!);
      parts.set(layout, [...parts.get(layout) ?? [], { expert, ...at }]);
    }
    let open = true;
    return {
      parts: Array.from(parts, ([layout, list]): WavePart => ({ layout, experts: list })),
      done: () => {
        if (!open) return;
        open = false;
        for (const e of experts) this.#slots.unpin(this.#key(layer, e));
        this.#holds.retry();
      },
    };
  }

  #fetchAll(layer: number, experts: readonly number[], signal: AbortSignal): Arrivals {
    const refs = this.manifest.expertLayers[layer]!.experts;
    return new Arrivals(experts, (e) => this.fetcher.fetch(refs[e]!.block, { signal }));
  }

  #key(layer: number, expert: number): ExpertKey {
    return this.#firstKey[layer]! + expert;
  }

  /** Layer and index of a key. */
  #named(key: ExpertKey): [number, number] {
    let layer = this.#firstKey.length - 1;
    while (this.#firstKey[layer]! > key) layer--;
    return [layer, key - this.#firstKey[layer]!];
  }

  #locate(slot: number): { arena: number; slot: number } {
    const perArena = this.arenas[0]!.slots;
    return { arena: Math.floor(slot / perArena), slot: slot % perArena };
  }

  stats(): ResidencyStats {
    return {
      slots: this.#slots.count,
      slotBytes: this.#geometry.slotBytes,
      resident: this.#slots.resident,
      heat: this.#slots.heat(this.plan.expertLayers),
      ...this.#counts,
    };
  }

  /** Gives the arenas and the table back. */
  free(): void {
    this.#places.free();
    for (const a of this.arenas) this.backend.free(a.buffer);
  }
}
