/** The caches between the arenas and the origin, as the budgets and flags allow. */
import { freesLargeBlocks } from "../base/allocator.ts";
import { errorText } from "../base/errors.ts";
import type { Ledger } from "../base/ledger.ts";
import type { Logger } from "../base/log.ts";
import type { BlockTier } from "../store/contract.ts";
import { DiskCache } from "../store/disk_cache.ts";
import { DiskTier, type DiskTierStats } from "../store/disk_tier.ts";
import type { Manifest } from "../store/manifest.ts";
import { RamTier, type RamTierStats } from "../store/ram_tier.ts";
import { LEAST_REQUEST_BYTES, widestBlock } from "./host_budget.ts";
import type { EngineOptions } from "./protocol.ts";

/** Blocks under way for which the RAM tier leaves room. */
const BLOCKS_UNDER_WAY = 4;

/** Counts of both; no disk where there is none. */
export interface TierStats {
  readonly ram: RamTierStats;
  readonly disk: DiskTierStats | undefined;
}

export interface Tiers {
  /** For the fetcher, nearest first. */
  readonly list: readonly BlockTier[];
  stats(): TierStats;
  /** Gives the memory back and writes to the disk what waits for it. */
  close(): Promise<void>;
}

/** Opens them. A disk that cannot be used is told once and left out. */
export async function openTiers(
  options: Pick<EngineOptions, "diskCache">,
  of: { ledger: Ledger; manifest: Manifest; log: Pick<Logger, "warn"> },
): Promise<Tiers> {
  const { ledger, manifest, log } = of;
  const experts = new Set(
    manifest.expertLayers.flatMap((l) => l.experts.map((e) => e.block.sha256)),
  );
  // Where freed blocks stay resident, as much again as the tier holds may be what it let go of.
  const lost = freesLargeBlocks() ? 0 : ledger.left("host") / 2;
  const ram = new RamTier(ledger, {
    keepFreeBytes: lost + BLOCKS_UNDER_WAY * widestBlock(manifest) + LEAST_REQUEST_BYTES,
    accepts: (ref) => experts.has(ref.sha256),
  });
  const disk = await openDisk(options.diskCache, log);
  return {
    list: disk === undefined ? [ram] : [ram, disk],
    stats: () => ({ ram: ram.stats(), disk: disk?.stats() }),
    async close() {
      await disk?.close();
      ram.clear();
    },
  };
}

async function openDisk(
  wanted: EngineOptions["diskCache"],
  log: Pick<Logger, "warn">,
): Promise<DiskTier | undefined> {
  if (wanted === undefined || wanted.bytes === 0) return undefined;
  try {
    return new DiskTier(await DiskCache.open(wanted.folder, wanted.bytes), log);
  } catch (error) {
    log.warn("going on without a disk cache", { error: errorText(error) });
    return undefined;
  }
}
