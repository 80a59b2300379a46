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
  /**
   * One read from the first part's start to the last one's end, each part's bytes put to its place; what lies
   * between is dropped. Parts ascend and do not overlap. Left out: `readParts` makes it from readRange.
   */
  readParts?(name: string, parts: readonly RangePart[], options?: ReadOptions): Promise<void>;
  /**
   * As readParts, into buffers of the store's own making that are the caller's from then on, each with the sha256 of
   * its bytes: for stores that read and hash on another thread of this process. An aborted read ends when its bytes
   * are gone.
   */
  readHashed?(
    name: string,
    ranges: readonly ByteRange[],
    options?: ReadOptions,
  ): Promise<HashedBlock[]>;
  /** Attempts beyond the first, by why they were made; stores that do not retry have none. */
  retries?(): RetryCounts;
}

/** A store that also keeps small texts of the packer's beside the objects: its journal. */
export interface NoteStore {
  /** The text, "" where there is none. */
  readNote(name: string): Promise<string>;
  /** Replaces the text whole or not at all. */
  writeNote(name: string, text: string): Promise<void>;
  removeNote(name: string): Promise<void>;
}

/** Bytes, and the sha256 (hex) that they were found to have. */
export interface HashedBlock {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly sha256: string;
}

/** A place in an object, and the buffer that its bytes fill. */
export interface RangePart {
  readonly offset: number;
  readonly into: Uint8Array<ArrayBuffer>;
}

/** A store that can also be written to. */
export interface WritableStore extends ObjectStore {
  has(name: string): Promise<boolean>;
  /**
   * Writes an object whole or not at all; `bytes` may be iterated more than once. Answers a receipt for `holds`:
   * what the store said of the object (an ETag), "" where it says nothing.
   */
  write(name: string, bytes: AsyncIterable<Uint8Array>): Promise<string>;
  /**
   * Whether an object is there as `write` left it, told without reading it. Left out by stores that cannot tell:
   * their objects are read and hashed.
   */
  holds?(name: string, bytes: number, receipt: string): Promise<boolean>;
}

/** Why an attempt was made again. */
export const RETRY_REASONS = [
  "throttled", // 429, 503
  "server", // another passing status
  "reset", // no connection, or none any more before the answer
  "truncated", // the body ended early, or its length was wrong
  "timeout", // silence, or a trickle
] as const;

export type RetryReason = typeof RETRY_REASONS[number];
export type RetryCounts = Record<RetryReason, number>;

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

/**
 * A cache of blocks between the fetcher and the origin (memory, disk). The fetcher asks its tiers in order, hashes
 * what an untrusted one answers, and offers every block that came from further away.
 */
export interface BlockTier {
  /** For statistics: "ram", "disk". */
  readonly name: string;
  /** Its bytes were verified and have not left this process's memory since: they are not hashed again. */
  readonly trusted: boolean;
  /** Whether `get` is worth a try; a guess from an index in memory, without waiting. */
  has(ref: BlockRef): boolean;
  /** The block's bytes, the caller's own; undefined where it has none after all. It does not throw. */
  get(ref: BlockRef, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /**
   * Offers a verified block. `block` is a share of the tier's own: it reads the bytes where they lie (they are on
   * the ledger meanwhile) and releases it, at once or when they are written. It does not throw.
   */
  put(ref: BlockRef, block: VerifiedBlock): void;
  /** What `get` answered was wrong. */
  drop(ref: BlockRef): void;
  /** The host ledger has no room for somebody: gives back about so many bytes of what the tier holds of it, now. */
  shrink?(bytes: number): void;
}

/** What a fetcher counts; plain numbers, so that they cross threads. */
export interface FetchStats {
  /** Requests sent to the origin or a mirror, hedges among them, and the bytes they brought. */
  requests: number;
  bytes: number;
  /** Blocks verified, wherever they came from. */
  blocks: number;
  /** Blocks whose hash was wrong; each was read again or refused. */
  refused: number;
  retries: number;
  retriesBy: RetryCounts;
  /** Blocks that came with another's request. */
  coalesced: number;
  /** Fetches that found the block on its way or held. */
  joined: number;
  /** Blocks that nobody waited for any more before they came. */
  cancelled: number;
  /** Second requests sent because the first was slow, and how many of them answered first. */
  hedges: number;
  hedgesWon: number;
  /** Blocks that only a mirror had right. */
  fromMirrors: number;
  /** Blocks by the tier that had them. */
  fromTiers: Record<string, number>;
  /** Fetches that ended with an error other than cancellation, and by its code. */
  failed: number;
  failedBy: Record<string, number>;
}

export interface FetchOptions {
  signal?: AbortSignal | undefined;
  /** Nobody waits for it yet: it goes after all that somebody waits for. */
  ahead?: boolean;
}

/**
 * Reads and verifies blocks: bounded concurrency, one flight a block however many ask, retries.
 * Nothing that this returns is unverified.
 */
export interface BlockFetcher {
  /** Throws MoqeError `corrupt` when the origin's bytes stay wrong, `unavailable` when it does not answer. */
  fetch(ref: BlockRef, options?: FetchOptions): Promise<VerifiedBlock>;
  stats(): FetchStats;
}

/** Statistics of a fetcher that has done nothing. */
export function noFetches(): FetchStats {
  return {
    requests: 0,
    bytes: 0,
    blocks: 0,
    refused: 0,
    retries: 0,
    retriesBy: noRetries(),
    coalesced: 0,
    joined: 0,
    cancelled: 0,
    hedges: 0,
    hedgesWon: 0,
    fromMirrors: 0,
    fromTiers: {},
    failed: 0,
    failedBy: {},
  };
}

/** Every reason at 0. */
export function noRetries(): RetryCounts {
  return { throttled: 0, server: 0, reset: 0, truncated: 0, timeout: 0 };
}
