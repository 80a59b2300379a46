/** Slots: which expert lies where, who is pinned, who must go. Knows neither bytes nor fetching. */
import type { ExpertKey, Stack } from "../base/plan.ts";
import type { Policy, SentenceLanguages } from "./contract.ts";
import { Heat, type HeatSnapshot } from "./heat.ts";

interface Entry {
  /** First unit, and how many. */
  slot: number;
  width: number;
  stack: Stack;
  pins: number;
}

/** Passes of a layer for which what they used is not given up for a guess. */
const RECENT_VISITS = 3;

/** Whether a resident expert may be given up. */
type Spare = (key: ExpertKey) => boolean;

/** How an expert is placed: units side by side, one unless given, and who may go for it; anybody unless given. */
export interface PlaceOptions {
  readonly width?: number | undefined;
  readonly spare?: Spare | undefined;
}

/** Where an expert was put: its first unit, and who had to go for it. */
export interface Place {
  readonly slot: number;
  readonly evicted: readonly ExpertKey[];
}

/**
 * A table of `count` slots of `units` units each: an expert takes adjacent units of one slot, so that one pinned expert
 * keeps no more than one slot from a block as wide as a slot, wherever it lies. With a quota, a load of a stack that is
 * at its quota or over takes the place of its own least useful expert, below it that of the other stack's: encoding a
 * long text cannot drive out what the decoder lives on. A stack may hold more than its quota while slots are free.
 * Without one the policy, one for both stacks, chooses among all.
 */
export class SlotTable {
  /** Who has each unit. */
  readonly #owners: (ExpertKey | undefined)[];
  readonly #entries = new Map<ExpertKey, Entry>();
  /** Visits of each layer, and the last of them that used each expert. */
  readonly #visits = new Map<number, number>();
  readonly #lastUse = new Map<ExpertKey, { layer: number; visit: number }>();
  readonly #heat = new Heat();
  /** Units. */
  readonly #held: Record<Stack, number> = { encoder: 0, decoder: 0 };

  constructor(
    readonly count: number,
    private readonly policies: Readonly<Record<Stack, Policy>>,
    private readonly quota?: Readonly<Record<Stack, number>> | undefined,
    readonly units = 1,
  ) {
    this.#owners = new Array(count * units).fill(undefined);
  }

  /** Slots that nobody has a unit of. */
  get free(): number {
    let slots = 0;
    for (let first = 0; first < this.#owners.length; first += this.units) {
      if (this.#owners.slice(first, first + this.units).every((k) => k === undefined)) slots++;
    }
    return slots;
  }

  get resident(): number {
    return this.#entries.size;
  }

  /** First unit of a resident expert; does not count as a use. */
  slotOf(key: ExpertKey): number | undefined {
    return this.#entries.get(key)?.slot;
  }

  pin(key: ExpertKey): void {
    this.#entry(key).pins++;
  }

  unpin(key: ExpertKey): void {
    const entry = this.#entry(key);
    if (entry.pins === 0) throw new Error(`expert ${key} was unpinned more often than pinned`);
    entry.pins--;
  }

  /** Languages of the sentences that run from now on. */
  languages(running: readonly SentenceLanguages[]): void {
    this.#heat.languages(running);
    for (const policy of new Set(Object.values(this.policies))) policy.languages?.(running);
  }

  /** A layer of a stack is about to run with these experts. */
  visit(stack: Stack, layer: number, keys: readonly ExpertKey[]): void {
    const visit = (this.#visits.get(layer) ?? 0) + 1;
    this.#visits.set(layer, visit);
    for (const key of keys) this.#lastUse.set(key, { layer, visit });
    this.#heat.visit(keys, (key) => this.#entries.has(key));
    this.policies[stack].visit?.(layer, keys);
  }

  /** Uses by layer and language. */
  heat(layers: readonly { stack: Stack; layer: number; count: number }[]): HeatSnapshot {
    return this.#heat.snapshot(layers, (key) => this.#entries.has(key));
  }

  /**
   * Whether the last steps of what runs used an expert. The encoder's are of no more use to a sentence once it is
   * encoded, and pinned before.
   */
  isRecent(key: ExpertKey): boolean {
    if (this.#entry(key).stack === "encoder") return false;
    const last = this.#lastUse.get(key);
    return last !== undefined && this.#visits.get(last.layer)! - last.visit < RECENT_VISITS;
  }

  /** A resident expert is used. */
  hit(key: ExpertKey): void {
    this.policies[this.#entry(key).stack].hit(key);
  }

  /**
   * Gives an expert `width` units, evicting others if it must, but only such as `spare` allows. Undefined when these
   * and the pinned leave no room in any slot.
   */
  place(
    key: ExpertKey,
    stack: Stack,
    { width = 1, spare = () => true }: PlaceOptions = {},
  ): Place | undefined {
    const evicted: ExpertKey[] = [];
    let slot = this.#freeRun(width);
    if (slot === undefined) {
      slot = this.#runToClear(stack, width, spare);
      if (slot === undefined) return undefined;
      evicted.push(...this.#ownersOf(slot, width));
      for (const other of evicted) this.evict(other);
    }
    this.#owners.fill(key, slot, slot + width);
    this.#entries.set(key, { slot, width, stack, pins: 0 });
    this.#held[stack] += width;
    this.policies[stack].load(key);
    return { slot, evicted };
  }

  /** Takes an unpinned expert's units away. */
  evict(key: ExpertKey): void {
    const { slot, width, stack, pins } = this.#entry(key);
    if (pins > 0) throw new Error(`expert ${key} is pinned and cannot be evicted`);
    this.#entries.delete(key);
    this.#held[stack] -= width;
    this.#owners.fill(undefined, slot, slot + width);
    this.policies[stack].evict(key);
  }

  /** The first free run in the slot that is fullest, so that whole slots stay free for wide blocks. */
  #freeRun(width: number): number | undefined {
    let best: number | undefined, least = Infinity;
    for (let first = 0; first < this.#owners.length; first += this.units) {
      let free = 0, run = 0, at: number | undefined;
      for (let u = first; u < first + this.units; u++) {
        run = this.#owners[u] === undefined ? run + 1 : 0;
        if (run > 0) free++;
        if (run === width) at ??= u + 1 - width;
      }
      if (at === undefined || free >= least) continue;
      best = at;
      least = free;
      if (free === width) break;
    }
    return best;
  }

  /** A run around the least useful expert whose slot pins leave one in. */
  #runToClear(stack: Stack, width: number, spare: Spare): number | undefined {
    const useless = new Set<ExpertKey>();
    const mayGo = (key: ExpertKey) => this.#entry(key).pins === 0 && spare(key);
    for (;;) {
      const victim = this.#victim(stack, (key) => mayGo(key) && !useless.has(key));
      if (victim === undefined) return undefined;
      const entry = this.#entry(victim), first = entry.slot - entry.slot % this.units;
      const from = Math.max(first, entry.slot - width + 1);
      const to = Math.min(first + this.units - width, entry.slot + entry.width - 1);
      for (let at = from; at <= to; at++) {
        if (this.#ownersOf(at, width).every(mayGo)) return at;
      }
      useless.add(victim);
    }
  }

  #ownersOf(slot: number, width: number): ExpertKey[] {
    const owners = new Set(this.#owners.slice(slot, slot + width));
    return [...owners].filter((k) => k !== undefined);
  }

  #victim(stack: Stack, free: Spare): ExpertKey | undefined {
    if (this.quota === undefined) return this.policies[stack].victim(free);
    const other: Stack = stack === "encoder" ? "decoder" : "encoder";
    const own = this.#held[stack] >= this.quota[stack] * this.units;
    const of = (s: Stack) =>
      this.policies[s].victim((key) => free(key) && this.#entry(key).stack === s);
    return own ? of(stack) ?? of(other) : of(other) ?? of(stack);
  }

  #entry(key: ExpertKey): Entry {
    const entry = this.#entries.get(key);
    if (entry === undefined) throw new Error(`expert ${key} is not resident`);
    return entry;
  }
}
