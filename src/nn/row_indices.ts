/** The indices of a pass's rows on the device: they go in with one write. */
import { alignUp } from "../base/units.ts";
import type { Backend, DeviceBuffer, DeviceRange } from "../backend/contract.ts";
import type { DecodeRows, StepRows } from "./context.ts";

/** Parts of a buffer start at a multiple of this many bytes, which is one for every backend. */
export const PART_ALIGN = 256;

const INDEX_NAMES = [
  "ids",
  "positions",
  "selfPlaces",
  "selfTable",
  "selfLengths",
  "crossTable",
  "crossLengths",
  "groupStarts",
  "groupLengths",
] as const;

/** The largest pass that will come. */
export interface RowShape {
  readonly maxRows: number;
  /** Pages of a row's tables, own and cross together, at the most. */
  readonly tablePages: number;
}

/** Bytes of the indices of the largest pass. */
export function indexBytes({ maxRows, tablePages }: RowShape): number {
  const perRow = maxRows * 4, vectors = INDEX_NAMES.length - 2;
  return vectors * alignUp(perRow, PART_ALIGN) + alignUp(perRow * tablePages, PART_ALIGN) +
    PART_ALIGN;
}

/** Room for the indices of one pass at a time. Owns it. */
export class RowIndices {
  readonly #buffer: DeviceBuffer;

  constructor(private readonly backend: Backend, shape: RowShape) {
    this.#buffer = backend.alloc("row indices", indexBytes(shape), "activations");
  }

  /** Uploads the indices of a pass. What it returns is valid until the next one begins. */
  begin(rows: DecodeRows): StepRows {
    const offsets: number[] = [];
    let top = 0;
    for (const name of INDEX_NAMES) {
      offsets.push(top);
      top += alignUp(rows[name].byteLength, PART_ALIGN);
    }
    const all = new Int32Array(top / 4);
    INDEX_NAMES.forEach((name, i) => all.set(rows[name], offsets[i]! / 4));
    this.backend.write(this.#buffer, 0, new Uint8Array(all.buffer));
    const entries = INDEX_NAMES.map((name, i) => [name, {
      buffer: this.#buffer,
      offset: offsets[i]!,
    }]);
    const ranges = Object.fromEntries(entries) as Record<typeof INDEX_NAMES[number], DeviceRange>;
    return { ...rows, ...ranges };
  }

  /** Gives it back. */
  free(): void {
    this.backend.free(this.#buffer);
  }
}
