/** When a request is slow enough to be worth a second one: past the 95th percentile of those like it. */

/** Durations remembered for each class of sizes; the percentile of fewer than LEAST says nothing. */
const KEPT = 64;
const LEAST = 12;
/** Hedges may be one in this many requests, so that a store that slows down is not sent twice the load. */
const ONE_IN = 10;

export interface HedgeOptions {
  /** No request is hedged before this: what is quick anyway gains nothing. */
  readonly leastMs?: number | undefined;
}

/** Learns how long requests take, by size, and says when to send a second one. */
export class Hedger {
  readonly #leastMs: number;
  /** By whole log2 of the bytes asked for. */
  readonly #recent = new Map<number, number[]>();
  #requests = 0;
  #hedges = 0;

  constructor(options: HedgeOptions = {}) {
    this.#leastMs = options.leastMs ?? 50;
  }

  /** A request of so many bytes took so long. */
  record(bytes: number, ms: number): void {
    this.#requests++;
    const size = sizeClass(bytes);
    const recent = this.#recent.get(size) ?? [];
    if (recent.push(ms) > KEPT) recent.shift();
    this.#recent.set(size, recent);
  }

  /** How long to wait before a second request; undefined while too little is known. */
  delayMs(bytes: number): number | undefined {
    const recent = this.#recent.get(sizeClass(bytes));
    if (recent === undefined || recent.length < LEAST) return undefined;
    const sorted = recent.toSorted((a, b) => a - b);
    return Math.max(this.#leastMs, sorted[Math.ceil(sorted.length * 0.95) - 1]!);
  }

  /** Takes one of the hedges that there may be; false where there were enough. */
  take(): boolean {
    if ((this.#hedges + 1) * ONE_IN > this.#requests + ONE_IN) return false;
    this.#hedges++;
    return true;
  }
}

function sizeClass(bytes: number): number {
  return Math.floor(Math.log2(bytes));
}
