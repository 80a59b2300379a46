/** Blocks that wait for their turn at the origin, and which of them share a request. */
import type { BlockRef } from "./manifest.ts";

/** What is between two blocks may be read with them up to this: cheaper than another request. */
const MAX_GAP = 32 * 1024;
/** A request of this size is worth its round trip; smaller runs are filled up to it. */
const WORTH_BYTES = 4 * 2 ** 20;
/** No request is made longer than this by coalescing. */
const MAX_SPAN_BYTES = 32 * 2 ** 20;

export interface Waiting {
  readonly ref: BlockRef;
  /** Nobody waits for it yet. */
  ahead: boolean;
}

/** First come, first served, apart that what is fetched ahead comes last. */
export class FetchQueue<T extends Waiting> {
  #list: T[] = [];

  get length(): number {
    return this.#list.length;
  }

  add(item: T): void {
    this.#list.push(item);
  }

  /** Whether it was there. */
  remove(item: T): boolean {
    const at = this.#list.indexOf(item);
    if (at >= 0) this.#list.splice(at, 1);
    return at >= 0;
  }

  first(): T | undefined {
    return this.#list.find((f) => !f.ahead) ?? this.#list[0];
  }

  /**
   * Takes the first off the queue, with its neighbours in the object as far as they make one request better than
   * several: while requests could be sent beside it, only as much as makes it worth a round trip.
   *
   * @param free requests that may be sent now, this one included
   * @param roomBytes bytes that the run may hold; the first fits
   */
  takeRun(free: number, roomBytes: number): T[] {
    const first = this.first();
    if (first === undefined) return [];
    const waitingBytes = this.#list.reduce((sum, f) => sum + f.ref.length, 0);
    const most = Math.min(
      roomBytes,
      MAX_SPAN_BYTES,
      Math.max(WORTH_BYTES, Math.ceil(waitingBytes / free)),
    );
    const near = this.#list.filter((f) => f.ref.object === first.ref.object)
      .sort((a, b) => a.ref.offset - b.ref.offset);
    const run = [first];
    let bytes = first.ref.length;
    const grow = (next: T | undefined, gap: number): boolean => {
      if (next === undefined || gap < 0 || gap > MAX_GAP) return false;
      if (bytes + next.ref.length > most) return false;
      bytes += next.ref.length;
      return true;
    };
    const at = near.indexOf(first);
    for (let i = at + 1; grow(near[i], gapBetween(near[i - 1]!, near[i])); i++) run.push(near[i]!);
    for (let i = at - 1; grow(near[i], gapBetween(near[i], near[i + 1])); i--) {
      run.unshift(near[i]!);
    }
    const taken = new Set(run);
    this.#list = this.#list.filter((f) => !taken.has(f));
    return run;
  }
}

function gapBetween(a: Waiting | undefined, b: Waiting | undefined): number {
  return a === undefined || b === undefined ? -1 : b.ref.offset - (a.ref.offset + a.ref.length);
}
