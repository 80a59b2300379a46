/** Frequency over recency: the expert whose uses, divided by the time since the last one, are fewest goes. */
import type { ExpertKey } from "../../base/plan.ts";
import type { Policy } from "../contract.ts";
import { worst } from "./worst.ts";

/** LFRU as expert caches use it: one number of both, no parameter. */
export function lfru(): Policy {
  const uses = new Map<ExpertKey, number>();
  const last = new Map<ExpertKey, number>();
  const resident = new Set<ExpertKey>();
  let now = 0;
  const use = (key: ExpertKey) => {
    uses.set(key, (uses.get(key) ?? 0) + 1);
    last.set(key, ++now);
  };
  return {
    name: "lfru",
    hit: use,
    load(key) {
      resident.add(key);
      use(key);
    },
    evict: (key) => void resident.delete(key),
    victim: (free) => worst(resident, free, (k) => (now + 1 - last.get(k)!) / uses.get(k)!),
  };
}
