/** Which experts are on the device, and who decides. */
import type { ExpertLayout } from "../base/layout.ts";
import type { ExpertKey } from "../base/plan.ts";
import type { Arena, ResidentExpert } from "../backend/contract.ts";

/** Pure cache policy: it is told what happens and names victims; it never sees a slot or a byte. */
export interface Policy {
  readonly name: string;
  /** A resident expert was used. */
  hit(key: ExpertKey): void;
  /** An expert came in. */
  load(key: ExpertKey): void;
  /** An expert went. */
  evict(key: ExpertKey): void;
  /** The resident expert to give up next among those that `free` allows; undefined if none may go. */
  victim(free: (key: ExpertKey) => boolean): ExpertKey | undefined;
}

/** Experts of one width and shape: one kernel call. */
export interface WavePart {
  readonly layout: ExpertLayout;
  readonly experts: readonly ResidentExpert[];
}

/** Experts of one layer that are on the device together; pinned until `done` is called. */
export interface Wave {
  readonly parts: readonly WavePart[];
  /** Unpins: every dispatch that reads these slots has been recorded. */
  done(): void;
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
}

/**
 * Slots and what is in them. `waves` yields first what is resident, then the rest as blocks arrive, in sets
 * that fit; a caller must finish one wave before it asks for the next. A failed fetch throws and leaves no
 * slot pinned.
 */
export interface Residency {
  readonly arenas: readonly Arena[];
  waves(layer: number, experts: readonly number[], signal?: AbortSignal): AsyncIterable<Wave>;
  /**
   * Brings experts in before they are asked for, while slots that nobody has pinned allow. Resolves with how many
   * came; a failed fetch or `signal` ends it quietly: whoever needs the expert asks again and is told.
   */
  prefetch(layer: number, experts: readonly number[], signal?: AbortSignal): Promise<number>;
  /** Told of every routing, encoder and decoder, as it is known: for prefetchers and profiles. Must be quick. */
  onRouting: RoutingObserver | undefined;
  stats(): ResidencyStats;
}
