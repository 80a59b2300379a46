/** Memory that tiers hold only because there was room, taken back for whoever asks the ledger. */
import type { Ledger } from "../base/ledger.ts";
import type { BlockTier } from "./contract.ts";

/** From now on the ledger asks these tiers, the nearest first, before it refuses host bytes. */
export function reclaimFrom(tiers: readonly BlockTier[], ledger: Ledger): void {
  ledger.reclaim = (bytes) => {
    const due = ledger.left("host") + bytes;
    for (const tier of tiers) {
      const lacking = due - ledger.left("host");
      if (lacking <= 0) return;
      tier.shrink?.(lacking);
    }
  };
}
