/** Reads and verifies blocks: bounded concurrency, one flight a block however many ask, every byte on the ledger. */
import { createHash } from "node:crypto";
import { MoqeError } from "../base/errors.ts";
import type { Ledger, Reservation } from "../base/ledger.ts";
import { formatBytes } from "../base/units.ts";
import type { BlockFetcher, FetchStats, ObjectStore, VerifiedBlock } from "./contract.ts";
import type { BlockRef, Manifest } from "./manifest.ts";

export interface FetcherOptions {
  /** Reads under way at once. */
  readonly concurrency?: number;
  /**
   * How long a fetch waits for room on the ledger while nothing is in flight and only verified blocks that
   * nobody has released stand in its way.
   */
  readonly roomTimeoutMs?: number;
}

/** What a store counts of its own retries; stores that do not retry have none. */
interface CountsRetries {
  readonly retries?: number;
}

/** One block on its way or verified and held: shared by all who asked. */
interface Flight {
  readonly ref: BlockRef;
  readonly abort: AbortController;
  readonly result: Promise<Uint8Array<ArrayBuffer>>;
  /** Callers that wait or hold the block; at 0 the flight ends. */
  holders: number;
  /** Set once verified, until the last holder lets go. */
  held: { readonly reservation: Reservation; readonly bytes: Uint8Array<ArrayBuffer> } | undefined;
}

/** A fetcher of one model's blocks. `store` is the model's, or a chain of tiers in front of it. */
export class StoreFetcher implements BlockFetcher {
  readonly #flights = new Map<string, Flight>();
  readonly #counts = { requests: 0, bytes: 0, blocks: 0, refused: 0 };
  readonly #concurrency: number;
  readonly #roomTimeoutMs: number;
  #active = 0;
  /** Called whenever a read ends or bytes are given back; each looks again whether it may go. */
  readonly #waiting: (() => void)[] = [];

  constructor(
    readonly store: ObjectStore,
    readonly manifest: Pick<Manifest, "objects">,
    readonly ledger: Ledger,
    options: FetcherOptions = {},
  ) {
    this.#concurrency = options.concurrency ?? 6;
    this.#roomTimeoutMs = options.roomTimeoutMs ?? 10_000;
  }

  async fetch(ref: BlockRef, options: { signal?: AbortSignal } = {}): Promise<VerifiedBlock> {
    if (options.signal?.aborted) throw cancelled(ref);
    const flight = this.#join(ref);
    let held = true;
    const release = () => {
      if (!held) return;
      held = false;
      this.#leave(flight);
    };
    try {
      return { bytes: await untilAborted(flight, options.signal), release };
    } catch (error) {
      release();
      throw error;
    }
  }

  stats(): FetchStats {
    return { ...this.#counts, retries: (this.store as CountsRetries).retries ?? 0 };
  }

  /** The block's flight, begun if there is none. Equal blocks are one, wherever they lie. */
  #join(ref: BlockRef): Flight {
    let flight = this.#flights.get(ref.sha256);
    if (flight === undefined) {
      const abort = new AbortController();
      const begun: Flight = {
        ref,
        abort,
        holders: 0,
        held: undefined,
        // In a later turn, so that the flight exists when its read begins.
        result: Promise.resolve().then(() => this.#run(begun)),
      };
      begun.result.catch(() =>
        this.#flights.get(ref.sha256) === begun && this.#flights.delete(ref.sha256)
      );
      this.#flights.set(ref.sha256, begun);
      flight = begun;
    }
    flight.holders++;
    return flight;
  }

  #leave(flight: Flight): void {
    if (--flight.holders > 0) return;
    if (this.#flights.get(flight.ref.sha256) === flight) this.#flights.delete(flight.ref.sha256);
    // Still running: #run sees the abort and gives its bytes back itself.
    flight.abort.abort();
    if (flight.held === undefined) return;
    letGo(flight.held.bytes);
    flight.held.reservation.release();
    flight.held = undefined;
    this.#wake();
  }

  async #run(flight: Flight): Promise<Uint8Array<ArrayBuffer>> {
    const { ref, abort: { signal } } = flight;
    const fetching = await this.#admit(ref, signal);
    try {
      const bytes = await this.#readVerified(ref, signal);
      if (signal.aborted) {
        letGo(bytes);
        throw cancelled(ref);
      }
      // No turn passes between the two, so nobody can take the room.
      fetching.release();
      const reservation = this.ledger.host("verified", ref.length, "a verified block");
      flight.held = { reservation, bytes };
      this.#counts.blocks++;
      return bytes;
    } finally {
      fetching.release();
      this.#active--;
      this.#wake();
    }
  }

  /** Waits for a free place and for room on the ledger, then takes both. */
  async #admit(ref: BlockRef, signal: AbortSignal): Promise<Reservation> {
    let stuckSince: number | undefined;
    for (;;) {
      if (signal.aborted) throw cancelled(ref);
      if (this.#active < this.#concurrency) {
        if (this.ledger.left("host") >= ref.length) {
          const reservation = this.ledger.host("fetching", ref.length, "a block being fetched");
          this.#active++;
          return reservation;
        }
        if (this.#active > 0) stuckSince = undefined;
        else {
          stuckSince ??= performance.now();
          const anyHeld = [...this.#flights.values()].some((f) => f.held !== undefined);
          const waited = performance.now() - stuckSince;
          // Throws over_budget with the budget that would do.
          if (!anyHeld || waited >= this.#roomTimeoutMs) {
            this.ledger.host("fetching", ref.length, "a block being fetched").release();
          }
        }
      }
      await this.#turn(signal, stuckSince === undefined ? undefined : this.#roomTimeoutMs);
    }
  }

  /** Until something ends, or the signal, or the time. */
  #turn(signal: AbortSignal, timeoutMs: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = timeoutMs === undefined ? undefined : setTimeout(done, timeoutMs);
      signal.addEventListener("abort", done);
      this.#waiting.push(done);
    });
  }

  #wake(): void {
    for (const go of this.#waiting.splice(0)) go();
  }

  async #readVerified(ref: BlockRef, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const { name } = this.manifest.objects[ref.object]!;
    for (const noCache of [false, true]) {
      this.#counts.requests++;
      const bytes = await this.store.readRange(name, ref, { signal, noCache });
      this.#counts.bytes += bytes.length;
      // node's hash reads the bytes where they lie; crypto.subtle would copy them past the ledger.
      if (createHash("sha256").update(bytes).digest("hex") === ref.sha256) return bytes;
      this.#counts.refused++;
      letGo(bytes);
    }
    throw new MoqeError("corrupt", {
      action: `use ${formatBytes(ref.length)} at ${ref.offset} of ${this.store.origin}/${name}`,
      rule: "they do not have the sha256 that the manifest says, also when read again past caches",
      remedy: "upload this object again, or pack the checkpoint again",
    });
  }
}

/**
 * Frees bytes now instead of at some later collection: blocks are much larger than the objects that hold them, so
 * garbage collection lets them pile up far beyond what the ledger says.
 */
function letGo(bytes: Uint8Array<ArrayBuffer>): void {
  // A store that answers with a part of something keeps what it has.
  if (bytes.length === bytes.buffer.byteLength) bytes.buffer.transfer(0);
}

/** The flight's bytes, or MoqeError `cancelled` as soon as this caller's own signal says so. */
async function untilAborted(
  flight: Flight,
  signal: AbortSignal | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  if (signal === undefined) return await flight.result;
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(cancelled(flight.ref));
  signal.addEventListener("abort", onAbort);
  try {
    return await Promise.race([flight.result, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function cancelled(ref: BlockRef): MoqeError {
  return new MoqeError("cancelled", {
    action: `fetch block ${ref.sha256.slice(0, 12)}`,
    rule: "nobody waits for it any more",
  });
}
