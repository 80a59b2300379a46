/** One block under way: what all who asked for it share. */
import { errorCode, MoqeError } from "../base/errors.ts";
import type { Reservation } from "../base/ledger.ts";
import type { FetchStats } from "./contract.ts";
import type { BlockRef } from "./manifest.ts";
import type { Bytes } from "./origin.ts";

/** One block on its way or verified and held: shared by all who asked. */
export interface Flight {
  readonly ref: BlockRef;
  readonly abort: AbortController;
  readonly result: PromiseWithResolvers<Bytes>;
  ahead: boolean;
  /** Callers that wait or hold the block; at 0 the flight ends. */
  holders: number;
  /** Tiers before this one had it not, or wrong. */
  tier: number;
  /** Delivered, failed or abandoned. */
  ended: boolean;
  /** Set once verified, until the last holder lets go. */
  held: { readonly reservation: Reservation; readonly bytes: Bytes } | undefined;
}

/** A flight that nobody waits for yet. */
export function newFlight(ref: BlockRef, ahead: boolean): Flight {
  return {
    ref,
    abort: new AbortController(),
    result: Promise.withResolvers(),
    ahead,
    holders: 0,
    tier: 0,
    ended: false,
    held: undefined,
  };
}

/** Ends a flight with an error, and counts it by its code. */
export function failFlight(flight: Flight, error: unknown, counts: FetchStats): void {
  flight.ended = true;
  counts.failed++;
  const code = errorCode(error);
  counts.failedBy[code] = (counts.failedBy[code] ?? 0) + 1;
  flight.result.reject(error);
}

/** A signal that fires once all of these have. */
export function allAborted(signals: readonly AbortSignal[]): { signal: AbortSignal } & Disposable {
  const all = new AbortController();
  const onAbort = () => signals.every((s) => s.aborted) && all.abort();
  for (const s of signals) s.addEventListener("abort", onAbort);
  return {
    signal: all.signal,
    [Symbol.dispose]: () => signals.forEach((s) => s.removeEventListener("abort", onAbort)),
  };
}

/** The flight's bytes, or MoqeError `cancelled` as soon as this caller's own signal says so. */
export async function untilAborted(
  flight: Flight,
  signal: AbortSignal | undefined,
): Promise<Bytes> {
  if (signal === undefined) return await flight.result.promise;
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(cancelled(flight.ref));
  signal.addEventListener("abort", onAbort);
  try {
    return await Promise.race([flight.result.promise, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** MoqeError `cancelled` for a block. */
export function cancelled(ref: BlockRef): MoqeError {
  return new MoqeError("cancelled", {
    action: `fetch block ${ref.sha256.slice(0, 12)}`,
    rule: "nobody waits for it any more",
  });
}
