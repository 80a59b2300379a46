/** Waves: what is resident of a layer runs first, the rest as blocks arrive, in sets that fit. */
import { MoqeError } from "../base/errors.ts";
import type { VerifiedBlock } from "../store/contract.ts";
import { Arrivals, type Arrived } from "./arrivals.ts";
import type { WaitOptions, Wave } from "./contract.ts";

/** What waves need of the residency, for one layer. */
export interface WaveHost {
  isResident(expert: number): boolean;
  fetch(expert: number, signal: AbortSignal): Promise<VerifiedBlock>;
  /** Writes a block to a slot; false where every slot is pinned. */
  put(expert: number, bytes: Uint8Array): boolean;
  pin(expert: number): void;
  unpin(expert: number): void;
  /** The place of a resident expert, as `placeOf` makes it. */
  placeOf(expert: number): number;
  /** A wave is over: its slots are no longer pinned. */
  ended(): void;
}

/** Waves of a layer's `experts` (distinct). Whoever takes them must not give the device up before `done`. */
export async function* inWaves(
  experts: readonly number[],
  host: WaveHost,
  { signal, pause = (until) => until }: WaitOptions,
): AsyncGenerator<Wave> {
  const resident = experts.filter((e) => host.isResident(e));
  const missing = experts.filter((e) => !host.isResident(e));
  const stop = new AbortController();
  const either = AbortSignal.any([stop.signal, ...signal === undefined ? [] : [signal]]);
  const arrivals = new Arrivals(missing, (e) => host.fetch(e, either));
  // One block that found every slot pinned by its own wave waits here for the next one.
  const waiting: Arrived[] = [];
  try {
    if (resident.length > 0) yield wave(host, resident);
    for (let left = missing.length; left > 0;) {
      waiting.push(...arrivals.ready());
      if (waiting.length === 0) {
        waiting.push(await pause(arrivals.next()));
        waiting.push(...arrivals.ready());
      }
      const placed = placeAll(host, waiting);
      left -= placed.length;
      yield wave(host, placed);
    }
  } finally {
    stop.abort(new DOMException("the layer no longer needs it", "AbortError"));
    for (const a of waiting) a.block.release();
    arrivals.discard();
  }
}

/** Places arrived blocks while there are slots that are not of this very wave. Takes them off `waiting`. */
function placeAll(host: WaveHost, waiting: Arrived[]): number[] {
  const placed: number[] = [];
  while (waiting.length > 0) {
    const { expert, block } = waiting[0]!;
    // Somebody else may have brought it in while this one was on its way.
    if (!host.isResident(expert) && !host.put(expert, block.bytes)) break;
    waiting.shift();
    block.release();
    host.pin(expert);
    placed.push(expert);
  }
  for (const e of placed) host.unpin(e);
  if (placed.length === 0) {
    throw new MoqeError("internal", { action: "place an expert", rule: "every slot is pinned" });
  }
  return placed;
}

/** Pins a set of resident experts until done. */
function wave(host: WaveHost, experts: readonly number[]): Wave {
  for (const e of experts) host.pin(e);
  let open = true;
  return {
    places: new Map(experts.map((e) => [e, host.placeOf(e)])),
    done: () => {
      if (!open) return;
      open = false;
      for (const e of experts) host.unpin(e);
      host.ended();
    },
  };
}
