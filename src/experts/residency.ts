/** Experts on demand: what is resident runs first, the rest is fetched, placed and run in waves. */
import type { ExpertLayout } from "../base/layout.ts";
import type { ExpertKey, ModelPlan } from "../base/plan.ts";
import { type Arena, type Backend, type DeviceRange, placeOf } from "../backend/contract.ts";
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
  WaitOptions,
  Wave,
} from "./contract.ts";
import { bringAhead } from "./ahead.ts";
import { Holds } from "./holds.ts";
import { type SlotGeometry, slotGeometry, slottedArenas, unitsOf } from "./geometry.ts";
import { checkedLayouts } from "./layouts.ts";
import { PlaceTable } from "./places.ts";
import { SlotTable } from "./slots.ts";
import { inWaves } from "./waves.ts";

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
  #decoderMisses = 0;

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

  waves(layer: number, experts: readonly number[], wait: WaitOptions = {}): AsyncGenerator<Wave> {
    this.#visit(layer, experts);
    this.#count(layer, experts);
    const key = (e: number) => this.#key(layer, e);
    return inWaves(experts, {
      isResident: (e) => this.isResident(layer, e),
      fetch: (e, signal) =>
        this.fetcher.fetch(this.manifest.expertLayers[layer]!.experts[e]!.block, { signal }),
      put: (e, bytes) => this.#put(layer, e, bytes),
      pin: (e) => this.#slots.pin(key(e)),
      unpin: (e) => this.#slots.unpin(key(e)),
      placeOf: (e) => this.#places.at(layer, e),
      ended: () => {
        this.#counts.waves++;
        this.#holds.retry();
      },
    }, wait);
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

  keepSlot(): () => void {
    return this.#holds.keepSlot();
  }

  get pressure(): { misses: number; full: boolean } {
    return { misses: this.#decoderMisses, full: this.#slots.resident >= this.#slots.count };
  }

  used(layer: number, experts: readonly number[]): void {
    this.#visit(layer, experts);
    this.#counts.hits += experts.length;
    for (const e of experts) if (this.isResident(layer, e)) this.#slots.hit(this.#key(layer, e));
  }

  hold(layer: number, experts: readonly number[], changed: () => void): Hold | undefined {
    if (experts.length > this.#slots.count) return undefined;
    this.#visit(layer, experts);
    this.#count(layer, experts);
    return this.#holds.add(layer, experts, changed);
  }

  /** Hits and misses of a layer that may wait for what it misses. */
  #count(layer: number, experts: readonly number[]): void {
    const resident = experts.filter((e) => this.isResident(layer, e));
    const missed = experts.length - resident.length;
    this.#counts.hits += resident.length;
    this.#counts.misses += missed;
    if (this.plan.expertLayers[layer]!.stack === "decoder") this.#decoderMisses += missed;
    for (const e of resident) this.#slots.hit(this.#key(layer, e));
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
    const layoutIndex = this.#distinct[layer]!.indexOf(this.#layouts[layer]![expert]!);
    this.#places.set(layer, expert, placeOf(place.slot, layoutIndex));
    this.#counts.loads++;
    this.#counts.loadedBytes += bytes.length;
    const perArena = this.arenas[0]!.slots, arena = this.arenas[Math.floor(place.slot / perArena)]!;
    this.backend.write(arena.buffer, place.slot % perArena * this.#geometry.unitBytes, bytes);
    return true;
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
