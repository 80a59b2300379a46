/**
 * Replays a trace against a policy, or against Belady's MIN, which knows the future. A request is one expert of a
 * layer in one forward pass; what is resident runs first, then what was missed comes in one by one, each into a slot
 * (a cache of experts cannot refuse to load), and whoever has run may go.
 */
import type { ExpertKey } from "../../src/base/plan.ts";
import type { Policy } from "../../src/experts/contract.ts";
import { firstKeys, type Trace } from "../../src/experts/trace.ts";

/** What a replay counted. */
export interface Replayed {
  readonly hits: number;
  readonly misses: number;
}

/** Hits and misses of a policy with `slots` slots. */
export function replay(trace: Trace, policy: Policy, slots: number): Replayed {
  const first = firstKeys(trace.layers);
  const resident = new Set<ExpertKey>();
  let hits = 0, misses = 0;
  for (const { layer, experts, sentence } of trace.visits) {
    if (sentence !== undefined) policy.languages?.([sentence]);
    const keys = experts.map((e) => first[layer]! + e);
    policy.visit?.(layer, keys);
    const missing = keys.filter((k) => !resident.has(k));
    hits += keys.length - missing.length;
    misses += missing.length;
    for (const k of keys) if (resident.has(k)) policy.hit(k);
    for (const k of missing) {
      if (resident.size >= slots) {
        const victim = policy.victim(() => true);
        if (victim === undefined || !resident.delete(victim)) {
          throw new Error(`${policy.name} names no resident expert to give up`);
        }
        policy.evict(victim);
      }
      resident.add(k);
      policy.load(k);
    }
  }
  return { hits, misses };
}

/**
 * The same for Belady's MIN: whoever is needed last, or never again, goes. No policy has more hits. Since what was
 * missed must come in, and the order within a layer is free, it comes in so that the soonest needed is the last and
 * stays; of two that are needed at the same time, the one goes that would rather be the last to come in then.
 */
export function replayBest(trace: Trace, slots: number): Replayed {
  const first = firstKeys(trace.layers);
  const future = new Future(trace, first);
  const resident = new Set<ExpertKey>();
  let hits = 0, misses = 0;
  for (const { layer, experts } of trace.visits) {
    const keys = experts.map((e) => first[layer]! + e);
    const missing = keys.filter((k) => !resident.has(k));
    hits += keys.length - missing.length;
    misses += missing.length;
    for (const k of keys) future.used(k);
    missing.sort((a, b) => future.next(b) - future.next(a));
    for (const k of missing) {
      if (resident.size >= slots) resident.delete(future.furthest(resident));
      resident.add(k);
    }
  }
  return { hits, misses };
}

/** When each expert is needed, as indices of visits. */
class Future {
  readonly #uses = new Map<ExpertKey, number[]>();
  readonly #cursor = new Map<ExpertKey, number>();

  constructor(trace: Trace, first: readonly ExpertKey[]) {
    trace.visits.forEach(({ layer, experts }, at) => {
      for (const e of experts) {
        const list = this.#uses.get(first[layer]! + e);
        if (list === undefined) this.#uses.set(first[layer]! + e, [at]);
        else list.push(at);
      }
    });
  }

  used(key: ExpertKey): void {
    this.#cursor.set(key, (this.#cursor.get(key) ?? 0) + 1);
  }

  /** The next use, or one `further` behind it. */
  next(key: ExpertKey, further = 0): number {
    return this.#uses.get(key)![(this.#cursor.get(key) ?? 0) + further] ?? Infinity;
  }

  furthest(keys: Iterable<ExpertKey>): ExpertKey {
    let found = -1, when = -1;
    for (const key of keys) {
      const at = this.next(key);
      if (at > when || (at === when && this.next(key, 1) < this.next(found, 1))) {
        [found, when] = [key, at];
      }
    }
    return found;
  }
}
