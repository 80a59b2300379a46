/** Where a packed model's bytes come from: one interface, whatever the origin. */
import type { BlockRef } from "./manifest.ts";

/** A place that holds named, immutable objects and answers byte ranges of them. */
export interface ObjectStore {
  /** For messages; never holds a secret. */
  readonly origin: string;
  /** The bytes [offset, offset + length) of an object, the caller's own from then on. Throws MoqeError `unavailable` (worth a retry) or `corrupt` (a short or wrong answer). */
  readRange(
    name: string,
    range: ByteRange,
    options?: ReadOptions,
  ): Promise<Uint8Array<ArrayBuffer>>;
  /** A whole small object; refuses one over maxBytes. */
  readAll(name: string, maxBytes: number, options?: ReadOptions): Promise<Uint8Array<ArrayBuffer>>;
}

/** A store that can also be written to. */
export interface WritableStore extends ObjectStore {
  has(name: string): Promise<boolean>;
  /** Writes an object whole or not at all. */
  write(name: string, bytes: AsyncIterable<Uint8Array>): Promise<void>;
}

/** Bytes [offset, offset + length) of an object. */
export interface ByteRange {
  offset: number;
  length: number;
}

export interface ReadOptions {
  signal?: AbortSignal | undefined;
  /** Ask the origin past every cache: the copy before was wrong. */
  noCache?: boolean;
}

/** A block whose hash was found right. Its bytes are counted on the ledger's `verified` line until released. */
export interface VerifiedBlock {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Gives the bytes and their ledger reservation back; the owner calls it after the upload, and `bytes` is empty then. */
  release(): void;
}

export interface FetchStats {
  /** Requests sent to the store, and the bytes they brought. */
  requests: number;
  bytes: number;
  blocks: number;
  /** Blocks whose hash was wrong; each was read again or refused. */
  refused: number;
  retries: number;
}

/**
 * Reads and verifies blocks: bounded concurrency, one flight a block however many ask, retries.
 * Nothing that this returns is unverified.
 */
export interface BlockFetcher {
  /** Throws MoqeError `corrupt` when the origin's bytes stay wrong, `unavailable` when it does not answer. */
  fetch(ref: BlockRef, options?: { signal?: AbortSignal }): Promise<VerifiedBlock>;
  stats(): FetchStats;
}
