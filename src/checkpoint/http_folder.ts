/** A checkpoint's folder behind an http(s) base URL, or in a bucket. */
import { MoqeError } from "../base/errors.ts";
import { isMissing } from "../store/http_failure.ts";
import { HttpClient, type HttpOptions } from "../store/http_client.ts";
import { joinUrl, shownUrl } from "../store/http_url.ts";
import type { Folder } from "./contract.ts";

/** Reads nothing but ranges; a file's size comes with its first byte. */
export class HttpFolder implements Folder {
  readonly origin: string;
  readonly #client: HttpClient;

  constructor(readonly base: URL, options: HttpOptions = {}) {
    this.origin = (options.shown ?? shownUrl)(base).replace(/\/+$/, "");
    this.#client = new HttpClient(options);
  }

  async stat(file: string): Promise<{ bytes: number; version: string } | undefined> {
    const range = { offset: 0, length: 1 };
    try {
      const { total, version } = await this.#client.read(joinUrl(this.base, file), { range });
      if (total !== undefined) return { bytes: total, version };
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
    throw new MoqeError("corrupt", {
      action: `read ${this.origin}/${file}`,
      rule: "the server must tell the file's size in Content-Range",
    });
  }

  async read(
    file: string,
    offset: number,
    into: Uint8Array<ArrayBuffer>,
    signal?: AbortSignal,
  ): Promise<void> {
    if (into.length === 0) return;
    const range = { offset, length: into.length };
    await this.#client.read(joinUrl(this.base, file), { range, into, signal });
  }

  close(): void {}
}
