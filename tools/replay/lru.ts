/** Least recently used. */
import type { ExpertKey } from "../../src/base/plan.ts";
import type { Policy } from "../../src/experts/contract.ts";

/** A Map keeps insertion order: the first key is the one used longest ago. */
export function lru(): Policy {
  const order = new Map<ExpertKey, true>();
  const touch = (key: ExpertKey) => {
    order.delete(key);
    order.set(key, true);
  };
  return {
    name: "lru",
    hit: touch,
    load: touch,
    evict: (key) => void order.delete(key),
    victim(free) {
      for (const key of order.keys()) if (free(key)) return key;
      return undefined;
    },
  };
}
