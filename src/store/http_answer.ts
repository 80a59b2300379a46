/** One HTTP answer, held against what was asked for. */
import type { ErrorCode } from "../base/errors.ts";

/** Why an attempt failed, and whether another may succeed. */
export class HttpFailure extends Error {
  /** The server answered that there is no such object. */
  missing = false;

  constructor(
    message: string,
    readonly retry: boolean,
    readonly code: ErrorCode = "unavailable",
    readonly retryAfterMs?: number,
  ) {
    super(message);
  }
}

export interface HttpAnswer {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Size of the whole object, where the server told. */
  readonly total: number | undefined;
  /** ETag or Last-Modified, "" without. */
  readonly version: string;
}

/** What was asked for: a range, or a whole of at most maxBytes; `into` is of the range's length. */
export interface Wanted {
  readonly range?: { readonly offset: number; readonly length: number } | undefined;
  readonly maxBytes?: number | undefined;
  readonly into?: Uint8Array<ArrayBuffer> | undefined;
}

/** Statuses after which another try is worth it. */
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);

/**
 * The body, if status and headers say that it is what was asked for. `onBytes` is called as bytes come.
 * Holds the bytes wanted and one network chunk. Throws HttpFailure.
 */
export async function readBody(
  response: Response,
  wanted: Wanted,
  onBytes: () => void,
): Promise<HttpAnswer> {
  refuseStatus(response);
  const encoding = response.headers.get("content-encoding");
  if (encoding !== null && encoding !== "identity") {
    throw new HttpFailure(`the answer is compressed (${encoding})`, false, "corrupt");
  }
  const { total, length } = wanted.range === undefined
    ? wholeSize(response, wanted.maxBytes ?? 0)
    : rangeSize(response, wanted.range);
  const version = response.headers.get("etag") ?? response.headers.get("last-modified") ?? "";
  const bytes = length === undefined
    ? await readUpTo(response, wanted.maxBytes ?? 0, onBytes)
    : await readExactly(response, wanted.into ?? new Uint8Array(length), onBytes);
  return {
    bytes,
    total: total ?? (wanted.range === undefined ? bytes.length : undefined),
    version,
  };
}

function refuseStatus({ status, headers }: Response): void {
  if (status === 200 || status === 206) return;
  const seconds = Number(headers.get("retry-after") ?? NaN);
  const after = Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
  if (PASSING.has(status)) {
    throw new HttpFailure(`the server says ${status}`, true, "unavailable", after);
  }
  if (status === 404 || status === 410) {
    throw Object.assign(new HttpFailure("there is no such object", false), { missing: true });
  }
  if (status === 401 || status === 403) {
    throw new HttpFailure(`the server refuses access (${status})`, false);
  }
  if (status === 416) {
    throw new HttpFailure("the range lies beyond the object's end (416)", false, "corrupt");
  }
  throw new HttpFailure(`the server says ${status}`, false);
}

/** A whole object: its size if told, refused over maxBytes before anything is read. */
function wholeSize(response: Response, maxBytes: number): { total?: number; length?: number } {
  if (response.status !== 200) {
    throw new HttpFailure("a part (206) came where the whole was asked for", false, "corrupt");
  }
  const length = contentLength(response);
  if (length === undefined) return {};
  if (length > maxBytes) {
    throw new HttpFailure(`${length} bytes, where ${maxBytes} are allowed`, false, "corrupt");
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
      false,
      "corrupt",
    );
  }
  const header = response.headers.get("content-range") ?? "";
  const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(header);
  const last = range.offset + range.length - 1;
  if (match === null || Number(match[1]) !== range.offset || Number(match[2]) !== last) {
    throw new HttpFailure(
      `asked for bytes ${range.offset}-${last}, the server sent "${header.slice(0, 80)}"`,
      false,
      "corrupt",
    );
  }
  if (length !== undefined && length !== range.length) {
    throw new HttpFailure(
      `the body has ${length} bytes instead of ${range.length}`,
      true,
      "corrupt",
    );
  }
  return { total: match[3] === "*" ? undefined : Number(match[3]), length: range.length };
}

function contentLength(response: Response): number | undefined {
  const header = response.headers.get("content-length");
  return header !== null && /^\d{1,15}$/.test(header) ? Number(header) : undefined;
}

async function readExactly(
  response: Response,
  into: Uint8Array<ArrayBuffer>,
  onBytes: () => void,
): Promise<Uint8Array<ArrayBuffer>> {
  let at = 0;
  for await (const chunk of response.body ?? []) {
    onBytes();
    if (at + chunk.length > into.length) {
      throw new HttpFailure(`more than the ${into.length} bytes asked for came`, false, "corrupt");
    }
    into.set(chunk, at);
    at += chunk.length;
  }
  if (at === into.length) return into;
  throw new HttpFailure(`the body ended after ${at} of ${into.length} bytes`, true, "corrupt");
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
      throw new HttpFailure(`more than ${maxBytes} bytes came`, false, "corrupt");
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
