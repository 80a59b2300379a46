/** Reads and verifies blocks: bounded concurrency, one flight a block however many ask, every byte on the ledger. */
import { setImmediate } from "node:timers";
import type { Ledger, Reservation } from "../base/ledger.ts";
import {
  type BlockFetcher,
  type BlockTier,
  type FetchOptions,
  type FetchStats,
  noFetches,
  type ObjectStore,
  type VerifiedBlock,
} from "./contract.ts";
import {
  allAborted,
  cancelled,
  failFlight,
  type Flight,
  newFlight,
  untilAborted,
} from "./flight.ts";
import type { BlockRef, Manifest } from "./manifest.ts";
import { type Bytes, letGo, Origin } from "./origin.ts";
import { FetchQueue } from "./queue.ts";
import { reclaimFrom } from "./reclaim.ts";

export interface FetcherOptions {
  /** Requests under way at once. */
  readonly concurrency?: number;
  /**
   * How long a fetch waits for room on the ledger while nothing is in flight and only verified blocks that
   * nobody has released stand in its way.
   */
  readonly roomTimeoutMs?: number;
  /** Asked for what the origin has wrong, or where it does not answer; in this order. */
  readonly mirrors?: readonly ObjectStore[];
  /** Caches between this and the origin, nearest first. */
  readonly tiers?: readonly BlockTier[];
  /** No request is hedged before this. */
  readonly hedgeLeastMs?: number;
}

/** Reads from tiers under way at once. */
const TIER_READS = 4;

/** A fetcher of one model's blocks. */
export class StoreFetcher implements BlockFetcher {
  readonly #flights = new Map<string, Flight>();
  readonly #counts = noFetches();
  readonly #origin: Origin;
  readonly #tiers: readonly BlockTier[];
  readonly #concurrency: number;
  readonly #roomTimeoutMs: number;
  /** Flights that wait for a tier that may have them, and for the origin. */
  readonly #near = new FetchQueue<Flight>();
  readonly #far = new FetchQueue<Flight>();
  #activeNear = 0;
  #activeFar = 0;
  #pumping = false;
  #stuck: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly store: ObjectStore,
    readonly manifest: Pick<Manifest, "objects">,
    readonly ledger: Ledger,
    options: FetcherOptions = {},
  ) {
    this.#concurrency = options.concurrency ?? 6;
    this.#roomTimeoutMs = options.roomTimeoutMs ?? 10_000;
    this.#tiers = options.tiers ?? [];
    for (const { name } of this.#tiers) this.#counts.fromTiers[name] = 0;
    this.#origin = new Origin(store, options.mirrors ?? [], ledger, this.#counts, {
      leastMs: options.hedgeLeastMs,
    });
    reclaimFrom(this.#tiers, ledger);
  }

  async fetch(ref: BlockRef, options: FetchOptions = {}): Promise<VerifiedBlock> {
    if (options.signal?.aborted) throw cancelled(ref);
    const flight = this.#join(ref, options.ahead ?? false);
    const release = this.#share(flight);
    try {
      return { bytes: await untilAborted(flight, options.signal), release };
    } catch (error) {
      release();
      throw error;
    }
  }

  stats(): FetchStats {
    const retriesBy = this.#origin.retries();
    const retries = Object.values(retriesBy).reduce((sum, n) => sum + n, 0);
    const { fromTiers, failedBy } = structuredClone(this.#counts);
    return { ...this.#counts, fromTiers, failedBy, retries, retriesBy };
  }

  /** The block's flight, begun if there is none. Equal blocks are one, wherever they lie. */
  #join(ref: BlockRef, ahead: boolean): Flight {
    const known = this.#flights.get(ref.sha256);
    if (known !== undefined) {
      this.#counts.joined++;
      known.ahead &&= ahead;
      return known;
    }
    const flight = newFlight(ref, ahead);
    flight.result.promise.catch(() => {
      if (this.#flights.get(ref.sha256) === flight) this.#flights.delete(ref.sha256);
    });
    this.#flights.set(ref.sha256, flight);
    this.#enqueue(flight);
    return flight;
  }

  /** One more holder; the function that is answered ends that, once. */
  #share(flight: Flight): () => void {
    flight.holders++;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#leave(flight);
    };
  }

  #leave(flight: Flight): void {
    if (--flight.holders > 0) return;
    if (this.#flights.get(flight.ref.sha256) === flight) this.#flights.delete(flight.ref.sha256);
    if (flight.held === undefined) return this.#abandon(flight);
    letGo(flight.held.bytes);
    flight.held.reservation.release();
    flight.held = undefined;
    this.#pump();
  }

  /** Nobody waits any more: what is queued is taken off, what is read is aborted by its reader. */
  #abandon(flight: Flight): void {
    if (flight.ended) return;
    flight.ended = true;
    this.#counts.cancelled++;
    this.#near.remove(flight);
    this.#far.remove(flight);
    flight.abort.abort();
    flight.result.reject(cancelled(flight.ref));
  }

  #enqueue(flight: Flight): void {
    while (flight.tier < this.#tiers.length && !this.#tiers[flight.tier]!.has(flight.ref)) {
      flight.tier++;
    }
    (flight.tier < this.#tiers.length ? this.#near : this.#far).add(flight);
    this.#pump();
  }

  /** Starts what may start, in a later turn: what is asked for in one turn is seen together. */
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    setImmediate(() => {
      this.#pumping = false;
      while (this.#startNear() || this.#startFar());
      this.#watchRoom();
    });
  }

  #startNear(): boolean {
    const flight = this.#near.first();
    if (flight === undefined || this.#activeNear >= TIER_READS) return false;
    if (!this.ledger.hasHostRoom(flight.ref.length)) return false;
    this.#near.remove(flight);
    this.#activeNear++;
    this.#fromTier(flight, this.#reserve(flight)).finally(() => {
      this.#activeNear--;
      this.#pump();
    });
    return true;
  }

  #startFar(): boolean {
    const first = this.#far.first();
    const free = this.#concurrency - this.#activeFar;
    if (first === undefined || free <= 0) return false;
    if (!this.ledger.hasHostRoom(first.ref.length)) return false;
    const run = this.#far.takeRun(free, this.ledger.left("host"));
    this.#counts.coalesced += run.length - 1;
    this.#activeFar++;
    const rooms = run.map((flight) => this.#reserve(flight));
    this.#fromOrigin(run, rooms).finally(() => {
      for (const room of rooms) room.release();
      this.#activeFar--;
      this.#pump();
    });
    return true;
  }

  #reserve(flight: Flight): Reservation {
    return this.ledger.host("fetching", flight.ref.length, "a block being fetched");
  }

  /** Ends the wait of a flight that nothing makes room for: at once, or after a while behind held blocks. */
  #watchRoom(): void {
    const first = this.#near.first() ?? this.#far.first();
    const busy = this.#activeNear + this.#activeFar > 0;
    if (first === undefined || busy || this.ledger.hasHostRoom(first.ref.length)) {
      clearTimeout(this.#stuck);
      this.#stuck = undefined;
      return;
    }
    const refuse = () => {
      this.#stuck = undefined;
      const next = this.#near.first() ?? this.#far.first();
      if (next === undefined) return;
      try {
        // Throws over_budget with the budget that would do.
        this.#reserve(next).release();
      } catch (error) {
        this.#near.remove(next);
        this.#far.remove(next);
        failFlight(next, error, this.#counts);
      }
      this.#pump();
    };
    const anyHeld = [...this.#flights.values()].some((f) => f.held !== undefined);
    if (!anyHeld) refuse();
    else this.#stuck ??= setTimeout(refuse, this.#roomTimeoutMs);
  }

  async #fromTier(flight: Flight, room: Reservation): Promise<void> {
    const tier = this.#tiers[flight.tier]!;
    const { signal } = flight.abort;
    const bytes = await tier.get(flight.ref, signal).catch(() => undefined);
    const right = bytes !== undefined && !signal.aborted &&
      (tier.trusted || this.#origin.check(flight.ref, bytes));
    if (right) {
      this.#counts.fromTiers[tier.name]!++;
      return this.#deliver(flight, bytes, room);
    }
    if (bytes !== undefined) {
      letGo(bytes);
      if (!signal.aborted) tier.drop(flight.ref);
    }
    room.release();
    if (signal.aborted) return;
    flight.tier++;
    this.#enqueue(flight);
  }

  /** One request for neighbours; each is delivered or fails alone. */
  async #fromOrigin(run: readonly Flight[], rooms: readonly Reservation[]): Promise<void> {
    const { name } = this.manifest.objects[run[0]!.ref.object]!;
    using ended = allAborted(run.map((f) => f.abort.signal));
    const blocks = run.map(({ ref }) => ({ ref, into: new Uint8Array(ref.length) }));
    let filled: Bytes[] | undefined, failure: unknown;
    try {
      filled = await this.#origin.read({ name, blocks }, ended.signal);
    } catch (error) {
      failure = error;
      for (const { into } of blocks) letGo(into);
    }
    // Nobody waits for a neighbour's second try.
    await Promise.all(run.map((flight, i) => {
      const bytes = filled?.[i];
      const right = bytes !== undefined && !flight.abort.signal.aborted &&
        this.#origin.check(flight.ref, bytes);
      if (right) return this.#deliver(flight, bytes, rooms[i]!);
      if (bytes !== undefined) letGo(bytes);
      return this.#readAgain(flight, name, failure, rooms[i]!);
    }));
  }

  async #readAgain(flight: Flight, name: string, why: unknown, room: Reservation): Promise<void> {
    const { ref, abort: { signal } } = flight;
    if (signal.aborted) return;
    try {
      this.#deliver(flight, await this.#origin.readAgain(name, ref, why, signal), room);
    } catch (error) {
      if (!signal.aborted) failFlight(flight, error, this.#counts);
    }
  }

  /** Hands verified bytes to all who wait, and to the tiers that had them not. */
  #deliver(flight: Flight, bytes: Bytes, room: Reservation): void {
    if (flight.abort.signal.aborted) {
      letGo(bytes);
      room.release();
      return;
    }
    // No turn passes between the two, so nobody can take the room.
    room.release();
    const reservation = this.ledger.host("verified", flight.ref.length, "a verified block");
    flight.held = { reservation, bytes };
    flight.ended = true;
    this.#counts.blocks++;
    for (const tier of this.#tiers.slice(0, flight.tier)) {
      tier.put(flight.ref, { bytes, release: this.#share(flight) });
    }
    flight.result.resolve(bytes);
  }
}
