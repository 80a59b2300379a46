/** Who may do what, how often and how much: keys, rates and quotas. */
import { RequestError } from "../errors.ts";
import { networkOf } from "./address.ts";
import { hashKey, type KeyRecord, type Scope } from "./keys.ts";
import type { UsageMeter } from "./meter.ts";
import { RateLimiter } from "./rate.ts";

/** Someone who was let in. */
export interface Client {
  /** The key's name, or "anonymous". Logs show it; the key is nowhere. */
  readonly name: string;
  readonly record: KeyRecord | undefined;
}

/** What an access control is made of. */
export interface AccessOptions {
  /** Without any, everybody may do everything. */
  readonly keys: readonly KeyRecord[];
  /**
   * Requests a minute of one address that comes without a key, IPv6 ones by their first 64 bits; 0 is as many as there
   * are.
   */
  readonly anonymousPerMinute: number;
  readonly meter: UsageMeter;
  readonly limiter?: RateLimiter;
}

const ANONYMOUS: Client = { name: "anonymous", record: undefined };

/** Decides on every request. Holds hashes of keys, never keys. */
export class Access {
  readonly #byHash: ReadonlyMap<string, KeyRecord>;
  readonly #limiter: RateLimiter;
  readonly #perMinute: number;
  readonly meter: UsageMeter;

  constructor(options: AccessOptions) {
    this.#byHash = new Map(options.keys.map((k) => [k.sha256, k]));
    this.#limiter = options.limiter ?? new RateLimiter();
    this.#perMinute = options.anonymousPerMinute;
    this.meter = options.meter;
  }

  /** True where nothing is answered without a key. */
  get keyRequired(): boolean {
    return this.#byHash.size > 0;
  }

  /** Whose key it is. Throws RequestError 403. A service without keys takes any, since clients send some. */
  identify(key: string | undefined): Client {
    if (!this.keyRequired) return ANONYMOUS;
    if (key === undefined || key === "") {
      throw new RequestError(403, "Please contact the server operator to get an API key");
    }
    const record = this.#byHash.get(hashKey(key));
    if (record === undefined) throw new RequestError(403, "Invalid API key");
    return { name: record.name, record };
  }

  /** Lets a client through for a scope and counts the request. Throws RequestError 403, 429. */
  admit(client: Client, scope: Scope, address: string): void {
    const { record } = client;
    if (record !== undefined && !record.scopes.includes(scope)) {
      throw new RequestError(403, `This API key is not for ${scope}`);
    }
    const perMinute = record === undefined ? this.#perMinute : record.requestsPerMinute ?? 0;
    if (perMinute === 0) return;
    const name = record === undefined ? `address ${networkOf(address)}` : `key ${record.name}`;
    const seconds = this.#limiter.take(name, perMinute);
    if (seconds > 0) {
      throw new RequestError(429, `Slowdown: ${perMinute} per 1 minute`, {
        retryAfterSeconds: seconds,
      });
    }
  }

  /**
   * Counts characters before they are translated; the result takes them back, for what failed.
   * Throws RequestError 456 where they are more than the quota has left.
   */
  charge(client: Client, characters: number): () => void {
    const { name } = client;
    this.#checkQuota(client, characters);
    this.meter.add(name, characters);
    return () => this.meter.add(name, -characters);
  }

  /**
   * Holds an estimate for work that is counted when it is done, so that work under way cannot go beyond the quota
   * together. The result gives it back and counts what there was, once. Throws RequestError 456 as `charge`.
   */
  reserve(client: Client, estimate: number): (characters: number) => void {
    const { name } = client;
    this.#checkQuota(client, estimate);
    this.meter.hold(name, estimate);
    let isOpen = true;
    return (characters) => {
      if (!isOpen) return;
      isOpen = false;
      this.meter.hold(name, -estimate);
      this.meter.add(name, characters);
    };
  }

  #checkQuota({ name, record }: Client, characters: number): void {
    const limit = record?.charactersPerMonth;
    if (limit === undefined) return;
    if (this.meter.used(name) + this.meter.held(name) + characters <= limit) return;
    throw new RequestError(456, `Quota Exceeded: the key has ${limit} characters a month`, {
      retryAfterSeconds: this.meter.secondsLeft(),
    });
  }

  /** Characters of this month and the most there may be. */
  usage(client: Client): { count: number; limit: number | undefined } {
    return { count: this.meter.used(client.name), limit: client.record?.charactersPerMonth };
  }
}
