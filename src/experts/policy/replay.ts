/**
 * Replays a trace against a policy, or against Belady's MIN, which knows the future. A request is one expert of a
 * layer in one forward pass; what is resident runs first, then what was missed comes in one by one, each into a slot
 * (a cache of experts cannot refuse to load), and whoever has run may go.
 */
import type { ExpertKey } from "../../base/plan.ts";
import type { Policy } from "../contract.ts";
import { firstKeys, type Trace } from "../trace.ts";

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

/** The same for Belady's MIN: whoever is needed last, or never again, goes. No policy has more hits. */
export function replayBest(trace: Trace, slots: number): Replayed {
  const first = firstKeys(trace.layers);
  const uses = new Map<ExpertKey, number[]>();
  trace.visits.forEach(({ layer, experts }, at) => {
    for (const e of experts) {
      const key = first[layer]! + e;
      const list = uses.get(key);
      if (list === undefined) uses.set(key, [at]);
      else list.push(at);
    }
  });
  const cursor = new Map<ExpertKey, number>();
  /** When each resident expert is needed again. */
  const next = new Map<ExpertKey, number>();
  let hits = 0, misses = 0;
  trace.visits.forEach(({ layer, experts }) => {
    const keys = experts.map((e) => first[layer]! + e);
    const missing = keys.filter((k) => !next.has(k));
    hits += keys.length - missing.length;
    misses += missing.length;
    for (const k of keys) {
      const at = (cursor.get(k) ?? 0) + 1;
      cursor.set(k, at);
      if (next.has(k)) next.set(k, uses.get(k)![at] ?? Infinity);
    }
    for (const k of missing) {
      if (next.size >= slots) next.delete(furthest(next));
      next.set(k, uses.get(k)![cursor.get(k)!] ?? Infinity);
    }
  });
  return { hits, misses };
}

function furthest(next: ReadonlyMap<ExpertKey, number>): ExpertKey {
  let found = -1, when = -1;
  for (const [key, at] of next) if (at > when) [found, when] = [key, at];
  return found;
}
