/** Which experts are on the device, and who decides. */
import type { ExpertLayout } from "../base/layout.ts";
import type { ExpertKey, Stack } from "../base/plan.ts";
import type { HeatSnapshot } from "./heat.ts";
import type { Arena, DeviceRange } from "../backend/contract.ts";

/** Pure cache policy: it is told what happens and names victims; it never sees a slot or a byte. */
export interface Policy {
  readonly name: string;
  /**
   * A layer is about to run and needs these experts, resident or not; told once a layer and pass, before the hits
   * and loads that follow from it. Layers are ordinals of ModelPlan.expertLayers.
   */
  visit?(layer: number, keys: readonly ExpertKey[]): void;
  /** Languages of the sentences that run from now on. */
  languages?(running: readonly SentenceLanguages[]): void;
  /** A resident expert was used. */
  hit(key: ExpertKey): void;
  /** An expert came in. */
  load(key: ExpertKey): void;
  /** An expert went. */
  evict(key: ExpertKey): void;
  /** The resident expert to give up next among those that `free` allows; undefined if none may go. */
  victim(free: (key: ExpertKey) => boolean): ExpertKey | undefined;
}

/** A sparse layer as a policy knows it; its ordinal is its place in the list. */
export interface PolicyLayer {
  readonly stack: Stack;
  readonly count: number;
}

/** Languages of a sentence, FLORES codes. The encoder's experts follow the source, the decoder's the target. */
export interface SentenceLanguages {
  readonly source: string;
  readonly target: string;
}

/** Makes a policy for a model's sparse layers. */
export type PolicyFactory = (layers: readonly PolicyLayer[]) => Policy;

/** Experts of one layer that are on the device together; pinned until `done` is called. */
export interface Wave {
  /** By expert, as `placeOf` makes them. */
  readonly places: ReadonlyMap<number, number>;
  /** Unpins: every dispatch that reads these slots has been recorded. */
  done(): void;
}

/** Gives the device up until then, so that another pass may use it meanwhile. */
export type Pause = <T>(until: Promise<T>) => Promise<T>;

/** How a pass waits for experts: without `pause` it keeps the device. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
  readonly pause?: Pause | undefined;
}

/** Experts of one layer that parked rows wait for; see holds.ts. Its owner releases it. */
export interface Hold {
  /** All are resident and pinned: the rows may run. */
  readonly ready: boolean;
  /** Why they will not come. */
  readonly failure: { readonly error: unknown } | undefined;
  /** Unpins, and lets go of what is still on its way. A second call does nothing. */
  release(): void;
}

/** The distinct experts that a pass routed its rows to in a layer (ordinal in ModelPlan.expertLayers). */
export type RoutingObserver = (layer: number, experts: readonly number[]) => void;

/** Counts since start; hits and misses are of distinct experts a layer and pass. */
export interface ResidencyStats {
  slots: number;
  slotBytes: number;
  resident: number;
  hits: number;
  misses: number;
  evictions: number;
  loads: number;
  loadedBytes: number;
  waves: number;
  /** By layer and language. */
  heat: HeatSnapshot;
}

/**
 * Slots and what is in them. `waves` yields first what is resident, then the rest as blocks arrive, in sets
 * that fit; a caller must finish one wave before it asks for the next. A failed fetch throws and leaves no
 * slot pinned.
 */
export interface Residency {
  readonly arenas: readonly Arena[];
  waves(layer: number, experts: readonly number[], wait?: WaitOptions): AsyncIterable<Wave>;
  /** Distinct layouts of a layer's experts; a place's layout index is an index into them. */
  layouts(layer: number): readonly ExpertLayout[];
  /** Brings the device's table of places up to date: before a waitless step is recorded, never within one. */
  flush(): void;
  /** A layer's part of that table, for the router. */
  placesOf(layer: number): DeviceRange;
  /** Distinct experts that rows of a waitless step ran in a layer. */
  used(layer: number, experts: readonly number[]): void;
  /**
   * Asks for all of a layer's `experts` (distinct) at once, for rows that missed one. `changed` is called when the
   * hold is ready or has failed, perhaps at once. Undefined where there are fewer slots: waves must do.
   */
  hold(layer: number, experts: readonly number[], changed: () => void): Hold | undefined;
  /** Slots that holds leave; waves need one. */
  readonly room: number;
  /** Keeps one slot from holds, for a pass in waves that lets others run while it waits; until what it answers is called. */
  keepSlot(): () => void;
  /** Distinct experts that decoder layers missed since start, and whether whatever comes in drives another out. */
  readonly pressure: { readonly misses: number; readonly full: boolean };
  /**
   * Brings experts in before they are asked for, while slots that nobody has pinned allow. Resolves with how many
   * came; a failed fetch or `signal` ends it quietly: whoever needs the expert asks again and is told.
   */
  prefetch(layer: number, experts: readonly number[], signal?: AbortSignal): Promise<number>;
  /** Told of every routing, encoder and decoder, as it is known: for prefetchers and profiles. Must be quick. */
  onRouting: RoutingObserver | undefined;
  stats(): ResidencyStats;
}
