/** Rows of a tensor that does not lie row by row in its file: transposed, cut out of another, or repeated. */
import type { TensorInfo } from "./contract.ts";

/** Bytes of the file looked at together. */
const WINDOW_BYTES = 8 * 2 ** 20;

/** Fills a buffer from a byte of the tensor's storage on. */
export type ReadBytes = (offset: number, into: Uint8Array<ArrayBuffer>) => Promise<void>;

/**
 * Copies elements [first, first + count) of a tensor, in row-major order, into `out` (count * width bytes). Passes
 * once over the bytes between the first and the last of them, a window at a time; a window without any is skipped.
 *
 * @param width bytes of an element
 */
export async function readStrided(
  tensor: TensorInfo,
  [first, count]: readonly [number, number],
  out: Uint8Array<ArrayBuffer>,
  width: number,
  read: ReadBytes,
): Promise<void> {
  const places = elementPlaces(tensor, first, count);
  let least = Infinity, most = 0;
  for (const place of places) {
    if (place < least) least = place;
    if (place > most) most = place;
  }
  const perWindow = WINDOW_BYTES / width;
  const window = new Uint8Array(Math.min(WINDOW_BYTES, (most - least + 1) * width));
  for (let start = least; start <= most; start += perWindow) {
    const end = Math.min(start + perWindow, most + 1);
    if (!places.some((p) => p >= start && p < end)) continue;
    const bytes = window.subarray(0, (end - start) * width);
    await read(tensor.byteRange.offset + start * width, bytes);
    for (let i = 0; i < count; i++) {
      const from = places[i]! - start;
      if (from < 0 || from >= end - start) continue;
      for (let b = 0; b < width; b++) out[i * width + b] = bytes[from * width + b]!;
    }
  }
}

/** Where elements lie, in elements from the tensor's first. */
function elementPlaces(tensor: TensorInfo, first: number, count: number): Float64Array {
  const { shape, strides } = tensor;
  const places = new Float64Array(count);
  const index = new Array<number>(shape.length).fill(0);
  let rest = first;
  for (let d = shape.length - 1; d >= 0; d--) {
    index[d] = rest % shape[d]!;
    rest = Math.floor(rest / shape[d]!);
  }
  let place = index.reduce((sum, n, d) => sum + n * strides![d]!, 0);
  for (let i = 0; i < count; i++) {
    places[i] = place;
    for (let d = shape.length - 1; d >= 0; d--) {
      place += strides![d]!;
      if (++index[d]! < shape[d]!) break;
      place -= shape[d]! * strides![d]!;
      index[d] = 0;
    }
  }
  return places;
}
