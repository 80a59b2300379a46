/** Requests a minute, counted by token buckets; the number of buckets is bounded. */

/** Buckets that are kept at most; the one that was used least lately goes first. */
const MOST_BUCKETS = 10_000;

interface Bucket {
  tokens: number;
  atMs: number;
}

/** One bucket a name, full at first. It holds a minute's worth, so that a burst of that many is let through. */
export class RateLimiter {
  readonly #buckets = new Map<string, Bucket>();

  /** `nowMs` is monotonic time in milliseconds. */
  constructor(readonly nowMs: () => number = () => performance.now()) {}

  /** Takes one token; returns 0, or the seconds until there is one. */
  take(name: string, perMinute: number): number {
    const now = this.nowMs();
    const bucket = this.#buckets.get(name) ?? { tokens: perMinute, atMs: now };
    const gained = (now - bucket.atMs) * perMinute / 60_000;
    const tokens = Math.min(perMinute, bucket.tokens + gained);
    const taken = tokens >= 1;
    // Last used goes last: a Map keeps the order of insertion.
    this.#buckets.delete(name);
    this.#buckets.set(name, { tokens: taken ? tokens - 1 : tokens, atMs: now });
    if (this.#buckets.size > MOST_BUCKETS) {
      this.#buckets.delete(this.#buckets.keys().next().value!);
    }
    return taken ? 0 : (1 - tokens) * 60 / perMinute;
  }

  /** Buckets held now. */
  get size(): number {
    return this.#buckets.size;
  }
}
