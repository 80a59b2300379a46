/** Least frequently used, counted over everything that was ever asked for; the longer unused goes first among equals. */
import type { ExpertKey } from "../../base/plan.ts";
import type { Policy } from "../contract.ts";
import { worst } from "./worst.ts";

/** Counts outlive eviction, as the strongest form of LFU has it. */
export function lfu(): Policy {
  const uses = new Map<ExpertKey, number>();
  const last = new Map<ExpertKey, number>();
  const resident = new Set<ExpertKey>();
  let now = 0;
  const use = (key: ExpertKey) => {
    uses.set(key, (uses.get(key) ?? 0) + 1);
    last.set(key, ++now);
  };
  return {
    name: "lfu",
    hit: use,
    load(key) {
      resident.add(key);
      use(key);
    },
    evict: (key) => void resident.delete(key),
    victim: (free) => worst(resident, free, (k) => -uses.get(k)! - last.get(k)! / (now + 1)),
  };
}
