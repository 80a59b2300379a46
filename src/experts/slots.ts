/** Slots: which expert lies where, who is pinned, who must go. Knows neither bytes nor fetching. */
import type { ExpertKey, Stack } from "../base/plan.ts";
import type { Policy, SentenceLanguages } from "./contract.ts";
import { Heat, type HeatSnapshot } from "./heat.ts";

interface Entry {
  slot: number;
  stack: Stack;
  pins: number;
}

/** Passes of a layer for which what they used is not given up for a guess. */
const RECENT_VISITS = 3;

/**
 * A table of `count` equal slots. With a quota, a load of a stack that is at its quota or over takes the place of its
 * own least useful expert, below it that of the other stack's: encoding a long text cannot drive out what the decoder
 * lives on. A stack may hold more than its quota while slots are free. Without one the policy, one for both stacks,
 * chooses among all.
 */
export class SlotTable {
  readonly #free: number[];
  readonly #entries = new Map<ExpertKey, Entry>();
  /** Visits of each layer, and the last of them that used each expert. */
  readonly #visits = new Map<number, number>();
  readonly #lastUse = new Map<ExpertKey, { layer: number; visit: number }>();
  readonly #heat = new Heat();
  readonly #held: Record<Stack, number> = { encoder: 0, decoder: 0 };

  constructor(
    readonly count: number,
    private readonly policies: Readonly<Record<Stack, Policy>>,
    private readonly quota?: Readonly<Record<Stack, number>> | undefined,
  ) {
    this.#free = Array.from({ length: count }, (_, i) => count - 1 - i);
  }

  get free(): number {
    return this.#free.length;
  }

  get resident(): number {
    return this.#entries.size;
  }

  /** Slot of a resident expert; does not count as a use. */
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
   * Gives an expert a slot, evicting one if it must, but only such as `spare` allows. Undefined when there is none.
   */
  place(
    key: ExpertKey,
    stack: Stack,
    spare: (key: ExpertKey) => boolean = () => true,
  ): { slot: number; evicted: ExpertKey | undefined } | undefined {
    let evicted: ExpertKey | undefined;
    if (this.#free.length === 0) {
      evicted = this.#victim(stack, spare);
      if (evicted === undefined) return undefined;
      this.evict(evicted);
    }
    const slot = this.#free.pop()!;
    this.#entries.set(key, { slot, stack, pins: 0 });
    this.#held[stack]++;
    this.policies[stack].load(key);
    return { slot, evicted };
  }

  /** Takes an unpinned expert's slot away. */
  evict(key: ExpertKey): void {
    const entry = this.#entry(key);
    if (entry.pins > 0) throw new Error(`expert ${key} is pinned and cannot be evicted`);
    this.#entries.delete(key);
    this.#held[entry.stack]--;
    this.#free.push(entry.slot);
    this.policies[entry.stack].evict(key);
  }

  #victim(stack: Stack, spare: (key: ExpertKey) => boolean): ExpertKey | undefined {
    const unpinned = (key: ExpertKey) => this.#entry(key).pins === 0 && spare(key);
    if (this.quota === undefined) return this.policies[stack].victim(unpinned);
    const other: Stack = stack === "encoder" ? "decoder" : "encoder";
    const own = this.#held[stack] >= this.quota[stack];
    const of = (s: Stack) =>
      this.policies[s].victim((key) => unpinned(key) && this.#entry(key).stack === s);
    return own ? of(stack) ?? of(other) : of(other) ?? of(stack);
  }

  #entry(key: ExpertKey): Entry {
    const entry = this.#entries.get(key);
    if (entry === undefined) throw new Error(`expert ${key} is not resident`);
    return entry;
  }
}
