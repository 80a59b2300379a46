/** Blocks kept in host memory: whatever --host-memory leaves, given back as soon as anything else needs it. */
import type { Ledger, Reservation } from "../base/ledger.ts";
import type { BlockTier, VerifiedBlock } from "./contract.ts";
import type { BlockRef } from "./manifest.ts";

export interface RamTierOptions {
  /** Host bytes that the tier leaves free: room for blocks under way and requests. */
  readonly keepFreeBytes: number;
  /** Whether a block is worth keeping at all; the trunk's are read once. */
  readonly accepts?: (ref: BlockRef) => boolean;
}

/** What the tier holds and did. */
export interface RamTierStats {
  readonly blocks: number;
  readonly bytes: number;
  readonly hits: number;
  readonly misses: number;
  /** Blocks given up for others, and those given up because other lines needed the room. */
  readonly evicted: number;
  readonly shrunk: number;
}

interface Held {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly reservation: Reservation;
}

/** Every so many requests a block, all counts are halved: what was wanted long ago does not stay for it. */
const HALVE_AFTER = 10;

/**
 * What reaches this tier is what the arenas miss: the experts of the encoder come round once a sentence, more of them
 * than fit, and least-recently-used would drop each just before it is asked for. So a block comes in only where it
 * was asked for more often than the one that would go for it.
 */
export class RamTier implements BlockTier {
  readonly name = "ram";
  readonly trusted = true;
  /** In order of use, the longest unused first. */
  readonly #held = new Map<string, Held>();
  readonly #asked = new Map<string, number>();
  #requests = 0;
  #bytes = 0;
  readonly #counts = { hits: 0, misses: 0, evicted: 0, shrunk: 0 };

  constructor(private readonly ledger: Ledger, private readonly options: RamTierOptions) {}

  /** Called once for every fetch that reaches this tier, so it is where requests are counted. */
  has(ref: BlockRef): boolean {
    if (!this.#accepts(ref)) return false;
    this.#asked.set(ref.sha256, (this.#asked.get(ref.sha256) ?? 0) + 1);
    if (++this.#requests > HALVE_AFTER * Math.max(16, this.#asked.size)) this.#age();
    const held = this.#held.has(ref.sha256);
    this.#counts[held ? "hits" : "misses"]++;
    return held;
  }

  get(ref: BlockRef): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const held = this.#held.get(ref.sha256);
    if (held === undefined) return Promise.resolve(undefined);
    this.#held.delete(ref.sha256);
    this.#held.set(ref.sha256, held);
    return Promise.resolve(held.bytes.slice());
  }

  put(ref: BlockRef, block: VerifiedBlock): void {
    try {
      if (!this.#accepts(ref) || this.#held.has(ref.sha256) || !this.#makeRoom(ref)) return;
      const reservation = this.ledger.host("ram_tier", ref.length, "a block kept in memory");
      this.#held.set(ref.sha256, { bytes: block.bytes.slice(), reservation });
      this.#bytes += ref.length;
    } finally {
      block.release();
    }
  }

  drop(ref: BlockRef): void {
    this.#remove(ref.sha256);
  }

  shrink(bytes: number): void {
    const until = this.#bytes - bytes;
    for (const sha of this.#held.keys()) {
      if (this.#bytes <= until) return;
      this.#remove(sha);
      this.#counts.shrunk++;
    }
  }

  /** Gives everything back. */
  clear(): void {
    for (const sha of this.#held.keys()) this.#remove(sha);
  }

  stats(): RamTierStats {
    return { blocks: this.#held.size, bytes: this.#bytes, ...this.#counts };
  }

  /** Room for a block, by giving up those that were asked for less often; false where it is not worth it. */
  #makeRoom(ref: BlockRef): boolean {
    const free = () => this.ledger.left("host") - this.options.keepFreeBytes;
    const asked = this.#asked.get(ref.sha256) ?? 0;
    let lacking = ref.length - free();
    const victims: string[] = [];
    for (const [sha, { bytes }] of this.#held) {
      if (lacking <= 0) break;
      if ((this.#asked.get(sha) ?? 0) >= asked) continue;
      victims.push(sha);
      lacking -= bytes.length;
    }
    if (lacking > 0) return false;
    for (const sha of victims) this.#remove(sha);
    this.#counts.evicted += victims.length;
    return true;
  }

  #accepts(ref: BlockRef): boolean {
    return this.options.accepts?.(ref) ?? true;
  }

  #remove(sha: string): void {
    const held = this.#held.get(sha);
    if (held === undefined) return;
    this.#held.delete(sha);
    this.#bytes -= held.bytes.length;
    held.reservation.release();
    // Freed now, not at some later collection.
    held.bytes.buffer.transfer(0);
  }

  #age(): void {
    this.#requests = 0;
    for (const [sha, n] of this.#asked) {
      if (n > 1) this.#asked.set(sha, n >> 1);
      else this.#asked.delete(sha);
    }
  }
}
