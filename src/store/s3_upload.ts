/** Large objects to S3 in parts, going on with an upload that was cut off. */
import { createHash } from "node:crypto";
import { MoqeError } from "../base/errors.ts";
import { isMissing } from "./http_failure.ts";
import type { HttpCall, HttpReply } from "./http_client.ts";
import { blocks, completeUpload, element } from "./s3_xml.ts";

/** S3 takes parts from 5 MiB; the last may be shorter. */
const PART_BYTES = 8 * 2 ** 20;
/** Parts under way at once, each in a buffer of its own. */
const LANES = 3;
const MAX_LISTS = 20;

export interface Part {
  /** From 1 on. */
  readonly number: number;
  readonly length: number;
  readonly md5: string;
  readonly sha256: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

type Digest = Omit<Part, "bytes">;

/** An object to upload. */
export interface Upload {
  /** Its key in the bucket. */
  readonly key: string;
  readonly digests: readonly Digest[];
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Sends a request about the object, or about the bucket, with a query. */
  call(call: HttpCall, query: string, bucket?: boolean): Promise<HttpReply>;
}

/** Bytes cut into parts with their hashes; each part is a buffer of its own. An empty object is one empty part. */
export async function* partsOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Part> {
  let buffer = new Uint8Array(PART_BYTES), at = 0, number = 0;
  for await (const piece of bytes) {
    for (let from = 0; from < piece.length;) {
      if (at === PART_BYTES) {
        yield part(++number, buffer);
        buffer = new Uint8Array(PART_BYTES);
        at = 0;
      }
      const n = Math.min(piece.length - from, PART_BYTES - at);
      buffer.set(piece.subarray(from, from + n), at);
      from += n;
      at += n;
    }
  }
  yield part(++number, buffer.subarray(0, at));
}

/** Frees a part's bytes now: garbage collection would let several objects' worth of them pile up. */
export function freePart(part: Part): void {
  part.bytes.buffer.transfer(0);
}

function part(number: number, bytes: Uint8Array<ArrayBuffer>): Part {
  const md5 = createHash("md5").update(bytes).digest("hex");
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { number, length: bytes.length, md5, sha256, bytes };
}

/** Sends the parts that are missing, then completes the upload. Answers the object's ETag. */
export async function uploadParts(upload: Upload): Promise<string> {
  // Who may write need not be allowed to list what was begun, and not every server can.
  const begun = await findUpload(upload).catch(orCancelled);
  try {
    return await send(upload, begun ?? await begin(upload));
  } catch (error) {
    // What was begun may have been given up meanwhile, by a rule of the bucket.
    if (begun === undefined || !isMissing(error)) throw error;
    return await send(upload, await begin(upload));
  }
}

function orCancelled(error: unknown): undefined {
  if (error instanceof MoqeError && error.code !== "cancelled") return undefined;
  throw error;
}

async function begin({ key, call }: Upload): Promise<string> {
  const { text } = await call({ method: "POST" }, "uploads=");
  const id = element(text, "UploadId");
  if (id === undefined) throw refused(key, "the server gave the upload no id");
  return id;
}

/** An upload of this key that an earlier run has begun. */
async function findUpload({ key, call }: Upload): Promise<string | undefined> {
  const query = new URLSearchParams({ uploads: "", prefix: key });
  const { text } = await call({ method: "GET" }, query.toString(), true);
  const same = blocks(text, "Upload").find((u) => element(u, "Key") === key);
  return same === undefined ? undefined : element(same, "UploadId");
}

async function send(upload: Upload, id: string): Promise<string> {
  const { key, digests, bytes, call } = upload;
  const there = await listParts(upload, id).catch(orCancelled) ?? new Map<number, Found>();
  const missing = digests.filter(({ number, md5, length }) => {
    const found = there.get(number);
    return found?.etag !== md5 || found.length !== length;
  });
  // A bucket that encrypts answers ETags that are no MD5, and wants them back.
  const etags = digests.map((d) => d.md5);
  if (missing.length > 0) {
    const wanted = new Set(missing.map((d) => d.number));
    const lanes = new Set<Promise<unknown>>();
    let failure: { error: unknown } | undefined;
    for await (const part of partsOf(bytes)) {
      if (!wanted.has(part.number)) {
        freePart(part);
        continue;
      }
      const query = new URLSearchParams({ partNumber: String(part.number), uploadId: id });
      const headers = { "x-amz-content-sha256": part.sha256 };
      const sent = call({ method: "PUT", body: part.bytes, headers }, query.toString())
        .then((reply) => {
          etags[part.number - 1] = unquoted(reply.headers.get("etag")) ?? part.md5;
        })
        // It may fail while the next part is still being read, when nobody waits for it.
        .catch((error) => void (failure ??= { error }))
        .finally(() => {
          freePart(part);
          lanes.delete(sent);
        });
      lanes.add(sent);
      if (lanes.size >= LANES) await Promise.race(lanes);
      if (failure !== undefined) throw failure.error;
    }
    await Promise.all(lanes);
    if (failure !== undefined) throw failure.error;
  }
  const body = new TextEncoder().encode(completeUpload(etags));
  const sha256 = createHash("sha256").update(body).digest("hex");
  const headers = { "x-amz-content-sha256": sha256 };
  const query = new URLSearchParams({ uploadId: id });
  const { text } = await call({ method: "POST", body, headers }, query.toString());
  // S3 begins to answer 200 before it knows.
  const code = /<Error>/.test(text) ? element(text, "Code") ?? "no code" : undefined;
  if (code !== undefined) {
    throw refused(key, `the server could not put its parts together: ${code}`);
  }
  return unquoted(element(text, "ETag")) ?? "";
}

function unquoted(etag: string | null | undefined): string | undefined {
  return etag?.replaceAll('"', "");
}

/** A part that is there. */
interface Found {
  readonly etag: string | undefined;
  readonly length: number;
}

/** The parts that are there, by number. */
async function listParts({ call }: Upload, id: string): Promise<Map<number, Found>> {
  const there = new Map<number, Found>();
  let marker = "0";
  for (let list = 0; list < MAX_LISTS; list++) {
    const query = new URLSearchParams({ uploadId: id, "part-number-marker": marker });
    const { text } = await call({ method: "GET" }, query.toString());
    for (const part of blocks(text, "Part")) {
      const etag = unquoted(element(part, "ETag")), length = Number(element(part, "Size"));
      there.set(Number(element(part, "PartNumber")), { etag, length });
    }
    if (element(text, "IsTruncated") !== "true") break;
    marker = element(text, "NextPartNumberMarker") ?? "0";
  }
  return there;
}

function refused(key: string, rule: string): MoqeError {
  return new MoqeError("unavailable", {
    action: `write ${key}`,
    rule,
    remedy: "give the command again: it goes on from here",
  });
}
