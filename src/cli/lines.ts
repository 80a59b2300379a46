/** Standard input as batches of lines, and back: as many lines out as in, in the same order. */
import { MoqeError } from "../base/errors.ts";
import { formatBytes } from "../base/units.ts";

/** A line and what ended it: "\n", "\r\n", or "" at the end of a file without a last newline. */
export interface Line {
  readonly text: string;
  readonly end: string;
  /** Bytes of the line in the input, for progress. */
  readonly bytes: number;
}

/** Bounds of one batch, so that memory does not grow with the input. */
export interface BatchBounds {
  readonly maxLines: number;
  readonly maxChars: number;
  /** One longer line is refused. */
  readonly maxLineBytes: number;
  /** A batch that is not full goes when the next line takes longer than this. */
  readonly patienceMs: number;
}

/** Lines of a byte stream. Bytes that are no UTF-8 become U+FFFD. Throws MoqeError `too_large`. */
export async function* readLines(
  stream: AsyncIterable<Uint8Array>,
  maxLineBytes: number,
): AsyncGenerator<Line> {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let rest: Uint8Array[] = [], restBytes = 0;
  let number = 1;
  const refuse = () =>
    new MoqeError("too_large", {
      action: `read line ${number}`,
      rule: `a line may have ${formatBytes(maxLineBytes)} at most`,
      remedy: "break it into paragraphs",
    });
  const take = (last: Uint8Array, newline: string): Line => {
    const bytes = restBytes + last.length;
    if (bytes > maxLineBytes) throw refuse();
    const text = decoder.decode(joined([...rest, last], bytes));
    [rest, restBytes] = [[], 0];
    number++;
    const carriage = newline !== "" && text.endsWith("\r");
    return {
      text: carriage ? text.slice(0, -1) : text,
      end: carriage ? "\r\n" : newline,
      bytes: bytes + newline.length,
    };
  };
  for await (const chunk of stream) {
    let from = 0;
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, from)) {
      yield take(chunk.subarray(from, at), "\n");
      from = at + 1;
    }
    if (from === chunk.length) continue;
    rest.push(chunk.slice(from));
    restBytes += chunk.length - from;
    if (restBytes > maxLineBytes) throw refuse();
  }
  if (restBytes > 0) yield take(new Uint8Array(0), "");
}

/** Lines in batches within the bounds; a line of more characters than a batch may have comes alone. */
export async function* batchLines(
  lines: AsyncIterable<Line>,
  bounds: BatchBounds,
): AsyncGenerator<Line[], undefined> {
  const iterator = lines[Symbol.asyncIterator]();
  let batch: Line[] = [], chars = 0;
  for (;;) {
    const next = iterator.next();
    if (batch.length > 0 && await isLate(next, bounds.patienceMs)) {
      yield batch;
      [batch, chars] = [[], 0];
    }
    const { value: line, done } = await next;
    if (done) break;
    const full = batch.length === bounds.maxLines || chars + line.text.length > bounds.maxChars;
    if (batch.length > 0 && full) {
      yield batch;
      [batch, chars] = [[], 0];
    }
    batch.push(line);
    chars += line.text.length;
  }
  if (batch.length > 0) yield batch;
}

/** Whether a promise takes longer than `ms`. A failure is on time: who awaits the promise sees it. */
async function isLate(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => timer = setTimeout(() => resolve(true), ms));
  const inTime = promise.then(() => false, () => false);
  try {
    return await Promise.race([inTime, late]);
  } finally {
    clearTimeout(timer);
  }
}

function joined(parts: Uint8Array[], bytes: number): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
