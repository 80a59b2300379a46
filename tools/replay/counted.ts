/** What policies by frequency share: uses counted over everything that was ever asked for, and when the last one was. */
import type { ExpertKey } from "../../src/base/plan.ts";
import type { Policy } from "../../src/experts/contract.ts";
import { worst } from "../../src/experts/policy/worst.ts";

/** One expert's record: how often it was used, when last, and the time now, each counted in uses. */
export interface Uses {
  readonly count: number;
  readonly last: number;
  readonly now: number;
}

/** A policy that gives up the resident expert of the highest `score`. Counts outlive eviction. */
export function counted(name: string, score: (uses: Uses) => number): Policy {
  const uses = new Map<ExpertKey, number>();
  const last = new Map<ExpertKey, number>();
  const resident = new Set<ExpertKey>();
  let now = 0;
  const use = (key: ExpertKey) => {
    uses.set(key, (uses.get(key) ?? 0) + 1);
    last.set(key, ++now);
  };
  return {
    name,
    hit: use,
    load(key) {
      resident.add(key);
      use(key);
    },
    evict: (key) => void resident.delete(key),
    victim: (free) =>
      worst(resident, free, (k) => score({ count: uses.get(k)!, last: last.get(k)!, now })),
  };
}
