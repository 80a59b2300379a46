/** Objects in an S3 bucket: read by ranges, written whole, in parts where they are large, and never twice. */
import { createHash } from "node:crypto";
import type { NoteStore, WritableStore } from "./contract.ts";
import { isMissing, isMissingOrForbidden } from "./http_failure.ts";
import type { HttpCall, HttpOptions, HttpReply } from "./http_client.ts";
import { HttpStore } from "./http_store.ts";
import { joinUrl } from "./http_url.ts";
import { checkNoteName, checkObjectName } from "./names.ts";
import type { S3Place } from "./s3_address.ts";
import { freePart, type Part, partsOf, uploadParts } from "./s3_upload.ts";

/** Notes are the packer's journal: a few hundred bytes a stored block. */
const MAX_NOTE_BYTES = 256 * 2 ** 20;

export class S3Store extends HttpStore implements WritableStore, NoteStore {
  readonly #place: S3Place;

  constructor(place: S3Place, options: HttpOptions = {}) {
    super(place.base, { ...options, ...place.http });
    this.#place = place;
  }

  async has(name: string): Promise<boolean> {
    checkObjectName(name);
    return await this.#head(name) !== undefined;
  }

  /** By size and ETag, which a server makes of the bytes that it took and whose hash it checked then. */
  async holds(name: string, bytes: number, receipt: string): Promise<boolean> {
    checkObjectName(name);
    const there = await this.#head(name);
    return receipt !== "" && there?.bytes === bytes && there.etag === receipt;
  }

  /**
   * Sends what is not there yet: nothing of an object that is there with these very bytes, and of one that was cut
   * off only the parts that are missing. Holds a few parts of 8 MiB. Answers the ETag.
   */
  async write(name: string, bytes: AsyncIterable<Uint8Array>): Promise<string> {
    checkObjectName(name);
    const digests: Omit<Part, "bytes">[] = [];
    for await (const part of partsOf(bytes)) {
      const { number, length, md5, sha256 } = part;
      digests.push({ number, length, md5, sha256 });
      freePart(part);
    }
    const length = digests.reduce((sum, part) => sum + part.length, 0);
    const due = etagOf(digests);
    if (await this.holds(name, length, due)) return due;
    if (digests.length > 1) {
      try {
        return await uploadParts({
          key: this.#place.keyPrefix + name,
          digests,
          bytes,
          // Only the listing of uploads is asked of the bucket, all else of the object.
          call: (call, query, bucket) => this.#call(bucket ? undefined : name, call, query),
        });
      } catch (error) {
        // An upload whose completion was answered into a broken connection is gone when it is asked for again.
        if (isMissing(error) && await this.holds(name, length, due)) return due;
        throw error;
      }
    }
    let receipt = "";
    for await (const part of partsOf(bytes)) {
      receipt = await this.#put(name, part.bytes, part.sha256);
      freePart(part);
    }
    return receipt;
  }

  async readNote(name: string): Promise<string> {
    checkNoteName(name);
    try {
      const url = joinUrl(this.base, name);
      const { bytes } = await this.client.read(url, { maxBytes: MAX_NOTE_BYTES });
      return new TextDecoder().decode(bytes);
    } catch (error) {
      if (isMissingOrForbidden(error)) return "";
      throw error;
    }
  }

  async writeNote(name: string, text: string): Promise<void> {
    checkNoteName(name);
    const bytes = new TextEncoder().encode(text);
    await this.#put(name, bytes, createHash("sha256").update(bytes).digest("hex"));
  }

  async removeNote(name: string): Promise<void> {
    checkNoteName(name);
    await this.#call(name, { method: "DELETE" }).catch((error) => {
      if (!isMissing(error)) throw error;
    });
  }

  /** Sends an object whole, with the hash that the server checks. Answers its ETag. */
  async #put(name: string, body: Uint8Array<ArrayBuffer>, sha256: string): Promise<string> {
    const sent = { "x-amz-content-sha256": sha256 };
    const { headers } = await this.#call(name, { method: "PUT", body, headers: sent });
    return bareEtag(headers.get("etag"));
  }

  async #head(name: string): Promise<{ bytes: number; etag: string } | undefined> {
    try {
      const { headers } = await this.#call(name, { method: "HEAD" });
      const bytes = Number(headers.get("content-length") ?? NaN);
      return { bytes, etag: bareEtag(headers.get("etag")) };
    } catch (error) {
      if (isMissingOrForbidden(error)) return undefined;
      throw error;
    }
  }

  #call(name: string | undefined, call: HttpCall, query = ""): Promise<HttpReply> {
    const url = name === undefined ? new URL(this.#place.bucket) : joinUrl(this.base, name);
    url.search = query;
    return this.client.call(url, call);
  }
}

function bareEtag(header: string | null): string {
  return (header ?? "").replaceAll('"', "");
}

/** What S3 answers as the ETag of these parts: the MD5 of one, or of all their MD5s with their number. */
function etagOf(parts: readonly { md5: string }[]): string {
  if (parts.length === 1) return parts[0]!.md5;
  const all = createHash("md5");
  for (const { md5 } of parts) all.update(md5, "hex");
  return `${all.digest("hex")}-${parts.length}`;
}
