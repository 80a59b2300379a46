/** Several parts of one object by one read, whatever the store offers. */
import type { ByteRange, ObjectStore, RangePart, ReadOptions } from "./contract.ts";

/** From the first part's start to the last one's end. */
export function spanOf(parts: readonly RangePart[]): ByteRange {
  const first = parts[0]!, last = parts.at(-1)!;
  return { offset: first.offset, length: last.offset + last.into.length - first.offset };
}

/** Fills every part. A store without readParts is read as one range, which is then copied. */
export async function readParts(
  store: ObjectStore,
  name: string,
  parts: readonly RangePart[],
  options: ReadOptions,
): Promise<void> {
  if (store.readParts !== undefined) return await store.readParts(name, parts, options);
  const span = spanOf(parts);
  const bytes = await store.readRange(name, span, options);
  for (const { offset, into } of parts) {
    const at = offset - span.offset;
    into.set(bytes.subarray(at, at + into.length));
  }
}
