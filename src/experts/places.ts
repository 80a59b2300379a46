/** The table that a waitless step reads on the device: where each expert lies, by layer. */
import { alignUp } from "../base/units.ts";
import type { Backend, DeviceBuffer, DeviceRange } from "../backend/contract.ts";

/** A layer's part starts at a multiple of this many bytes, which is one for every backend. */
const ALIGN = 256;
const ABSENT = -1;

/** Device bytes of the table. `counts`: experts of each layer. */
export function placeTableBytes(counts: readonly number[]): number {
  return counts.reduce((sum, n) => sum + alignUp(n * 4, ALIGN), 0);
}

/** i32 [experts] a layer, -1 where absent; the host's copy leads, `flush` brings the device's up to it. */
export class PlaceTable {
  readonly #host: Int32Array<ArrayBuffer>;
  readonly #first: readonly number[];
  readonly #buffer: DeviceBuffer | undefined;
  /** Layers that changed since the last flush. */
  readonly #changed = new Set<number>();

  constructor(private readonly backend: Backend, private readonly counts: readonly number[]) {
    let top = 0;
    this.#first = counts.map((n) => (top += alignUp(n * 4, ALIGN)) - alignUp(n * 4, ALIGN));
    this.#host = new Int32Array(top / 4).fill(ABSENT);
    this.#buffer = top === 0 ? undefined : backend.alloc("place table", top, "activations");
    counts.forEach((_, layer) => this.#changed.add(layer));
  }

  set(layer: number, expert: number, place: number): void {
    this.#host[this.#first[layer]! / 4 + expert] = place;
    this.#changed.add(layer);
  }

  /** Where an expert lies, -1 where absent. */
  at(layer: number, expert: number): number {
    return this.#host[this.#first[layer]! / 4 + expert]!;
  }

  clear(layer: number, expert: number): void {
    this.set(layer, expert, ABSENT);
  }

  /** A layer's part. */
  of(layer: number): DeviceRange {
    return { buffer: this.#buffer!, offset: this.#first[layer]! };
  }

  /** Writes what changed: called before a step is recorded, never within one. */
  flush(): void {
    for (const layer of this.#changed) {
      const at = this.#first[layer]!, bytes = this.counts[layer]! * 4;
      this.backend.write(this.#buffer!, at, new Uint8Array(this.#host.buffer, at, bytes));
    }
    this.#changed.clear();
  }

  free(): void {
    if (this.#buffer !== undefined) this.backend.free(this.#buffer);
  }
}
