/** Objects behind an http(s) base URL, read by ranges. */
import type { ByteRange, ObjectStore, ReadOptions } from "./contract.ts";
import { HttpClient, type HttpOptions } from "./http_client.ts";
import { joinUrl, shownUrl } from "./http_url.ts";
import { checkObjectName, checkRange } from "./names.ts";

export class HttpStore implements ObjectStore {
  readonly origin: string;
  readonly #client: HttpClient;

  constructor(readonly base: URL, options: HttpOptions = {}) {
    this.origin = shownUrl(base).replace(/\/+$/, "");
    this.#client = new HttpClient(options);
  }

  /** Attempts beyond the first, over all reads. */
  get retries(): number {
    return this.#client.retries;
  }

  async readRange(
    name: string,
    range: ByteRange,
    options: ReadOptions = {},
  ): Promise<Uint8Array<ArrayBuffer>> {
    checkObjectName(name);
    checkRange(name, range.offset, range.length);
    const { offset, length } = range;
    const url = joinUrl(this.base, name);
    const { bytes } = await this.#client.read(url, { range: { offset, length }, ...options });
    return bytes;
  }

  async readAll(
    name: string,
    maxBytes: number,
    options: ReadOptions = {},
  ): Promise<Uint8Array<ArrayBuffer>> {
    checkObjectName(name);
    const { bytes } = await this.#client.read(joinUrl(this.base, name), { maxBytes, ...options });
    return bytes;
  }
}
