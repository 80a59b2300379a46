/** Objects behind an http(s) base URL, read by ranges. */
import type { ByteRange, ObjectStore, RangePart, ReadOptions, RetryCounts } from "./contract.ts";
import { HttpClient, type HttpOptions } from "./http_client.ts";
import { joinUrl, shownUrl } from "./http_url.ts";
import { checkObjectName, checkRange } from "./names.ts";
import { spanOf } from "./read_parts.ts";

export class HttpStore implements ObjectStore {
  readonly origin: string;
  protected readonly client: HttpClient;

  constructor(readonly base: URL, options: HttpOptions = {}) {
    this.origin = (options.shown ?? shownUrl)(base).replace(/\/+$/, "");
    this.client = new HttpClient(options);
  }

  retries(): RetryCounts {
    return this.client.retries;
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
    const { bytes } = await this.client.read(url, { range: { offset, length }, ...options });
    return bytes;
  }

  async readParts(
    name: string,
    parts: readonly RangePart[],
    options: ReadOptions = {},
  ): Promise<void> {
    checkObjectName(name);
    const range = spanOf(parts);
    checkRange(name, range.offset, range.length);
    await this.client.read(joinUrl(this.base, name), { range, into: parts, ...options });
  }

  async readAll(
    name: string,
    maxBytes: number,
    options: ReadOptions = {},
  ): Promise<Uint8Array<ArrayBuffer>> {
    checkObjectName(name);
    const { bytes } = await this.client.read(joinUrl(this.base, name), { maxBytes, ...options });
    return bytes;
  }
}
