/** The disk cache as a tier of the fetcher: read when asked, written behind everybody's back, silent when it cannot. */
import { errorText } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { BlockTier, VerifiedBlock } from "./contract.ts";
import type { DiskCache } from "./disk_cache.ts";
import type { BlockRef } from "./manifest.ts";

/** Blocks written at once. */
const WRITERS = 2;
/** A disk that failed is not written to for so long. */
const REST_MS = 60_000;

/** What the tier did; bytes are of blocks read and written by this process. */
export interface DiskTierStats {
  readonly hits: number;
  readonly misses: number;
  readonly readBytes: number;
  readonly writtenBlocks: number;
  readonly writtenBytes: number;
  /** Blocks that were not written: the disk failed, or their memory was wanted first. */
  readonly skipped: number;
  /** Blocks that were wrong on the disk and removed. */
  readonly dropped: number;
  readonly failures: number;
}

interface Pending {
  readonly ref: BlockRef;
  readonly block: VerifiedBlock;
}

export class DiskTier implements BlockTier {
  readonly name = "disk";
  /** Bytes on a disk can rot, and another program may have put them there. */
  readonly trusted = false;
  readonly #queue: Pending[] = [];
  /** Wrong blocks on their way out: the right one is written behind that, or it would go with them. */
  readonly #removals = new Map<string, Promise<void>>();
  readonly #counts = {
    hits: 0,
    misses: 0,
    readBytes: 0,
    writtenBlocks: 0,
    writtenBytes: 0,
    skipped: 0,
    dropped: 0,
    failures: 0,
  };
  #writing = 0;
  #restUntil = 0;
  #closed = false;
  readonly #idle: (() => void)[] = [];

  constructor(
    readonly cache: DiskCache,
    private readonly log: Pick<Logger, "warn">,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Another process may have brought it in at any time, so it is always worth a look: one failed open. */
  has(): boolean {
    return true;
  }

  async get(ref: BlockRef): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const bytes = await this.cache.read(ref.sha256, ref.length);
    if (bytes === undefined) {
      this.#counts.misses++;
      return undefined;
    }
    this.#counts.hits++;
    this.#counts.readBytes += bytes.length;
    return bytes;
  }

  put(ref: BlockRef, block: VerifiedBlock): void {
    if (this.#closed || this.now() < this.#restUntil) return this.#skip({ ref, block });
    this.#queue.push({ ref, block });
    this.#pump();
  }

  drop(ref: BlockRef): void {
    this.#counts.dropped++;
    this.log.warn("a block in the disk cache was wrong and is removed", { sha256: ref.sha256 });
    const removal = this.cache.remove(ref.sha256).catch(() => {})
      .finally(() => this.#removals.delete(ref.sha256));
    this.#removals.set(ref.sha256, removal);
  }

  /** Gives up blocks that wait to be written. */
  shrink(bytes: number): void {
    for (let freed = 0; freed < bytes && this.#queue.length > 0;) {
      const last = this.#queue.pop()!;
      freed += last.ref.length;
      this.#skip(last);
    }
  }

  stats(): DiskTierStats {
    return { ...this.#counts };
  }

  /** Resolves when nothing waits to be written. */
  async idle(): Promise<void> {
    while (this.#writing > 0 || this.#queue.length > 0) {
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    }
  }

  /** Writes what waits, then takes nothing more. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.idle();
  }

  #pump(): void {
    while (this.#writing < WRITERS && this.#queue.length > 0) {
      const next = this.#queue.shift()!;
      this.#writing++;
      this.#write(next).finally(() => {
        this.#writing--;
        this.#pump();
        if (this.#writing === 0) { for (const go of this.#idle.splice(0)) go(); }
      });
    }
  }

  async #write({ ref, block }: Pending): Promise<void> {
    try {
      await this.#removals.get(ref.sha256);
      const there = await this.cache.write(ref.sha256, block.bytes);
      this.#counts[there ? "writtenBlocks" : "skipped"]++;
      if (there) this.#counts.writtenBytes += ref.length;
    } catch (error) {
      this.#counts.failures++;
      this.#counts.skipped++;
      this.#rest(error);
    } finally {
      block.release();
    }
  }

  /** The disk is full or read-only: go on without it, and try again later. */
  #rest(error: unknown): void {
    if (this.now() >= this.#restUntil) {
      this.log.warn("the disk cache cannot be written to; going on without it for a while", {
        folder: this.cache.folder,
        error: errorText(error),
        retryAfterSeconds: REST_MS / 1000,
      });
    }
    this.#restUntil = this.now() + REST_MS;
    for (const waiting of this.#queue.splice(0)) this.#skip(waiting);
  }

  #skip({ block }: Pending): void {
    this.#counts.skipped++;
    block.release();
  }
}
