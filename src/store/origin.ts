/** The origin and its mirrors as the fetcher sees them: reads with hedges, and again where bytes were wrong. */
import { createHash } from "node:crypto";
import { MoqeError } from "../base/errors.ts";
import type { Ledger } from "../base/ledger.ts";
import { formatBytes } from "../base/units.ts";
import {
  type FetchStats,
  noRetries,
  type ObjectStore,
  type RangePart,
  RETRY_REASONS,
  type RetryCounts,
} from "./contract.ts";
import { type HedgeOptions, Hedger } from "./hedge.ts";
import type { BlockRef } from "./manifest.ts";
import { readParts } from "./read_parts.ts";

/** Bytes of one block. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** One object's blocks to read in one request: the buffers are theirs alone. */
export interface Run {
  readonly name: string;
  readonly blocks: readonly { readonly ref: BlockRef; readonly into: Bytes }[];
}

/** Reads blocks, never verified ones here but for `readAgain`. Counts into the fetcher's statistics. */
export class Origin {
  readonly #hedger: Hedger;
  /** What stores that hash found; of the very buffers that they answered. */
  readonly #hashes = new WeakMap<Bytes, string>();

  constructor(
    readonly store: ObjectStore,
    readonly mirrors: readonly ObjectStore[],
    readonly ledger: Ledger,
    readonly counts: FetchStats,
    options: HedgeOptions = {},
  ) {
    this.#hedger = new Hedger(options);
  }

  /** One request for a run, a second one where the first is slow. Answers the buffers that were filled. */
  async read(run: Run, signal: AbortSignal): Promise<Bytes[]> {
    const bytes = run.blocks.reduce((sum, b) => sum + b.ref.length, 0);
    const start = performance.now();
    const first = this.#send(run, run.blocks.map((b) => b.into), signal);
    const delayMs = this.#hedger.delayMs(bytes);
    const filled = delayMs === undefined || await settledWithin(first.done, delayMs)
      ? await first.done
      : await this.#hedged(run, bytes, first, signal);
    this.#hedger.record(bytes, performance.now() - start);
    this.counts.bytes += bytes;
    return filled;
  }

  /** A second request beside a slow one, into buffers of its own; the first to succeed wins, the other ends. */
  async #hedged(run: Run, bytes: number, first: Sent, signal: AbortSignal): Promise<Bytes[]> {
    if (this.ledger.left("host") < bytes || !this.#hedger.take()) return await first.done;
    const room = this.ledger.host("fetching", bytes, "a second request for slow blocks");
    const second = this.#send(run, run.blocks.map((b) => new Uint8Array(b.ref.length)), signal);
    this.counts.hedges++;
    const winner = await Promise.any([
      first.done.then(() => first),
      second.done.then(() => second),
    ]).catch(() => first);
    const loser = winner === first ? second : first;
    loser.abort.abort();
    // The loser's buffers may be written to until it ends; only then is their room free.
    loser.done.catch(() => {}).finally(() => {
      loser.buffers.forEach(letGo);
      room.release();
    });
    if (winner === second) this.counts.hedgesWon++;
    return await winner.done;
  }

  #send(run: Run, buffers: Bytes[], signal: AbortSignal): Sent {
    this.counts.requests++;
    const abort = new AbortController();
    const parts: RangePart[] = run.blocks.map(({ ref }, i) => ({
      offset: ref.offset,
      into: buffers[i]!,
    }));
    const either = AbortSignal.any([abort.signal, signal]);
    const sent: Sent = { abort, buffers, done: this.#fill(run, parts, either) };
    sent.done.then((filled) => sent.buffers = filled, () => {});
    return sent;
  }

  /** The bytes of a request: in the buffers of `parts`, or in the store's own where it hashes them as well. */
  async #fill(run: Run, parts: readonly RangePart[], signal: AbortSignal): Promise<Bytes[]> {
    const buffers = parts.map((p) => p.into);
    if (this.store.readHashed === undefined) {
      await readParts(this.store, run.name, parts, { signal });
      return buffers;
    }
    const ranges = parts.map(({ offset, into }) => ({ offset, length: into.length }));
    buffers.forEach(letGo);
    const blocks = await this.store.readHashed(run.name, ranges, { signal });
    for (const { bytes, sha256 } of blocks) this.#hashes.set(bytes, sha256);
    return blocks.map((b) => b.bytes);
  }

  /**
   * A block that was wrong or could not be had: from the origin past every cache, unless it does not answer, then
   * from the mirrors. Throws MoqeError `corrupt` or what the last of them threw.
   */
  async readAgain(
    name: string,
    ref: BlockRef,
    failure: unknown,
    signal: AbortSignal,
  ): Promise<Bytes> {
    const down = failure instanceof MoqeError && failure.code === "unavailable";
    let last = failure;
    for (const store of down ? this.mirrors : [this.store, ...this.mirrors]) {
      this.counts.requests++;
      try {
        const bytes = await store.readRange(name, ref, { signal, noCache: true });
        this.counts.bytes += bytes.length;
        if (this.check(ref, bytes)) {
          if (store !== this.store) this.counts.fromMirrors++;
          return bytes;
        }
        letGo(bytes);
        last = undefined;
      } catch (error) {
        if (signal.aborted) throw error;
        last = error;
      }
    }
    throw last ?? wrong(`${this.store.origin}/${name}`, ref, this.mirrors.length);
  }

  /** What the stores tried again, together. */
  retries(): RetryCounts {
    const sum = noRetries();
    for (const store of [this.store, ...this.mirrors]) {
      const counts = store.retries?.();
      for (const reason of RETRY_REASONS) sum[reason] += counts?.[reason] ?? 0;
    }
    return sum;
  }

  /** Whether bytes have a block's hash; counts those that have not. */
  check(ref: BlockRef, bytes: Bytes): boolean {
    // node's hash reads the bytes where they lie; crypto.subtle would copy them past the ledger.
    const sha256 = this.#hashes.get(bytes) ?? createHash("sha256").update(bytes).digest("hex");
    const right = sha256 === ref.sha256;
    if (!right) this.counts.refused++;
    return right;
  }
}

interface Sent {
  readonly done: Promise<Bytes[]>;
  readonly abort: AbortController;
  /** Those that hold the bytes once done. */
  buffers: Bytes[];
}

/** True where a promise ends, one way or the other, within a time. */
async function settledWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => timer = setTimeout(() => resolve(false), ms));
  try {
    return await Promise.race([promise.then(() => true, () => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

function wrong(where: string, ref: BlockRef, mirrors: number): MoqeError {
  const also = mirrors === 0 ? "" : `, nor has any of ${mirrors} mirrors`;
  return new MoqeError("corrupt", {
    action: `use ${formatBytes(ref.length)} at ${ref.offset} of ${where}`,
    rule:
      `they do not have the sha256 that the manifest says, also when read again past caches${also}`,
    remedy: "upload this object again, or pack the checkpoint again",
  });
}

/**
 * Frees bytes now instead of at some later collection: blocks are much larger than the objects that hold them, so
 * garbage collection lets them pile up far beyond what the ledger says.
 */
export function letGo(bytes: Bytes): void {
  // A store that answers with a part of something keeps what it has.
  if (bytes.length === bytes.buffer.byteLength && bytes.length > 0) bytes.buffer.transfer(0);
}
