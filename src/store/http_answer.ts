/** One HTTP answer, held against what was asked for. */
import type { RangePart } from "./contract.ts";
import { HttpFailure, refuseStatus } from "./http_failure.ts";

export interface HttpAnswer {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Size of the whole object, where the server told. */
  readonly total: number | undefined;
  /** ETag or Last-Modified, "" without. */
  readonly version: string;
}

/** What was asked for: a range, or a whole of at most maxBytes; `into` takes the range's bytes. */
export interface Wanted {
  readonly range?: { readonly offset: number; readonly length: number } | undefined;
  readonly maxBytes?: number | undefined;
  /** One buffer of the range's length, or places within the object. */
  readonly into?: Uint8Array<ArrayBuffer> | readonly RangePart[] | undefined;
}

/**
 * The body, if status and headers say that it is what was asked for. `onBytes` is called as bytes come.
 * Holds the bytes wanted and one network chunk. Throws HttpFailure.
 */
export async function readBody(
  response: Response,
  wanted: Wanted,
  onBytes: () => void,
): Promise<HttpAnswer> {
  await refuseStatus(response);
  const encoding = response.headers.get("content-encoding");
  if (encoding !== null && encoding !== "identity") {
    throw new HttpFailure(`the answer is compressed (${encoding})`, undefined, "corrupt");
  }
  const { total, length } = wanted.range === undefined
    ? wholeSize(response, wanted.maxBytes ?? 0)
    : rangeSize(response, wanted.range);
  const version = response.headers.get("etag") ?? response.headers.get("last-modified") ?? "";
  const bytes = length === undefined
    ? await readUpTo(response, wanted.maxBytes ?? 0, onBytes)
    : await readExactly(response, new Sink(wanted, length), onBytes);
  return {
    bytes,
    total: total ?? (wanted.range === undefined ? bytes.length : undefined),
    version,
  };
}

/** A whole object: its size if told, refused over maxBytes before anything is read. */
function wholeSize(response: Response, maxBytes: number): { total?: number; length?: number } {
  if (response.status !== 200) {
    throw new HttpFailure("a part (206) came where the whole was asked for", undefined, "corrupt");
  }
  const length = contentLength(response);
  if (length === undefined) return {};
  if (length > maxBytes) {
    throw new HttpFailure(`${length} bytes, where ${maxBytes} are allowed`, undefined, "corrupt");
  }
  return { total: length, length };
}

/** A range: 206 with exactly the range asked for. */
function rangeSize(
  response: Response,
  range: { offset: number; length: number },
): { total: number | undefined; length: number } {
  const length = contentLength(response);
  if (response.status === 200) {
    // A server without ranges is of use only where the object is what was asked for, whole.
    if (range.offset === 0 && length === range.length) return { total: length, length };
    throw new HttpFailure(
      "the server ignores ranges: it sent the whole object (200)",
      undefined,
      "corrupt",
    );
  }
  const header = response.headers.get("content-range") ?? "";
  const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(header);
  const last = range.offset + range.length - 1;
  if (match === null || Number(match[1]) !== range.offset || Number(match[2]) !== last) {
    throw new HttpFailure(
      `asked for bytes ${range.offset}-${last}, the server sent "${header.slice(0, 80)}"`,
      undefined,
      "corrupt",
    );
  }
  if (length !== undefined && length !== range.length) {
    throw new HttpFailure(
      `the body has ${length} bytes instead of ${range.length}`,
      "truncated",
      "corrupt",
    );
  }
  return { total: match[3] === "*" ? undefined : Number(match[3]), length: range.length };
}

function contentLength(response: Response): number | undefined {
  const header = response.headers.get("content-length");
  return header !== null && /^\d{1,15}$/.test(header) ? Number(header) : undefined;
}

/** Where a body's bytes go as they come: into one array, or to the places that were named. */
class Sink {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #parts: readonly RangePart[];
  readonly #base: number;
  #next = 0;

  constructor(wanted: Wanted, readonly length: number) {
    const { into } = wanted;
    this.#base = wanted.range?.offset ?? 0;
    if (into instanceof Uint8Array || into === undefined) {
      this.bytes = into ?? new Uint8Array(length);
      this.#parts = [{ offset: this.#base, into: this.bytes }];
    } else {
      this.bytes = new Uint8Array(0);
      this.#parts = into;
    }
  }

  /** Takes bytes that lie at `at` of the range; they come in order. */
  put(at: number, chunk: Uint8Array): void {
    const start = this.#base + at, end = start + chunk.length;
    while (this.#next < this.#parts.length) {
      const { offset, into } = this.#parts[this.#next]!;
      const from = Math.max(start, offset), to = Math.min(end, offset + into.length);
      if (to > from) into.set(chunk.subarray(from - start, to - start), from - offset);
      if (offset + into.length > end) return;
      this.#next++;
    }
  }
}

async function readExactly(
  response: Response,
  sink: Sink,
  onBytes: () => void,
): Promise<Uint8Array<ArrayBuffer>> {
  let at = 0;
  const { length } = sink;
  try {
    for await (const chunk of response.body ?? []) {
      onBytes();
      if (at + chunk.length > length) {
        throw new HttpFailure(`more than the ${length} bytes asked for came`, undefined, "corrupt");
      }
      sink.put(at, chunk);
      at += chunk.length;
    }
  } catch (error) {
    if (error instanceof HttpFailure) throw error;
    throw new HttpFailure(
      `the connection ended after ${at} of ${length} bytes: ${(error as Error).message}`,
      "truncated",
    );
  }
  if (at === length) return sink.bytes;
  throw new HttpFailure(`the body ended after ${at} of ${length} bytes`, "truncated", "corrupt");
}

/** A body of unknown length, up to maxBytes. */
async function readUpTo(
  response: Response,
  maxBytes: number,
  onBytes: () => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    onBytes();
    size += chunk.length;
    if (size > maxBytes) {
      throw new HttpFailure(`more than ${maxBytes} bytes came`, undefined, "corrupt");
    }
    chunks.push(chunk);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
