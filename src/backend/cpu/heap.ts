/** One WebAssembly memory as the device: ranges of it, first fit, neighbours merged when they come back. */
import { MoqeError } from "../../base/errors.ts";
import { alignUp, formatBytes } from "../../base/units.ts";

const PAGE = 65536;
/** The module's own static data lies below. */
const BASE = PAGE;
/** Kernels may read, never write, up to a vector past a buffer's end; the last bytes are never given out. */
const TAIL = 64;
/** For what alignment and the gaps of freed ranges cost: the ledger counts bytes, not addresses. */
const SLACK = 2 ** 20;
export const HEAP_ALIGN = 64;
/** wasm32 ends at 4 GiB. */
export const HEAP_LIMIT = 65536 * PAGE;

/** Most bytes of buffers that a heap has room for, of however much it may take. */
export const HEAP_MOST_BYTES = HEAP_LIMIT - BASE - SLACK - PAGE;

interface Range {
  start: number;
  end: number;
}

/** Bytes of one memory. It grows on demand, never beyond `limitBytes`, and never shrinks. */
export class Heap {
  /** Shared, so that the threads of a pool work in it. */
  readonly memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true });
  u8!: Uint8Array<SharedArrayBuffer>;
  i32!: Int32Array<SharedArrayBuffer>;
  f32!: Float32Array<SharedArrayBuffer>;
  /** Free ranges below #top, in order of address, never touching one another. */
  #free: Range[] = [];
  #top = BASE;
  /** Memory from here on was never given out: it is zero, and not resident. */
  #fresh = BASE;
  readonly #limit: number;

  constructor(limitBytes: number) {
    this.#limit = Math.min(HEAP_LIMIT - TAIL, BASE + alignUp(limitBytes, PAGE) + SLACK);
    this.#view();
  }

  /** Address of `bytes` zeroed bytes. Throws MoqeError `over_budget` when no range is left for them. */
  take(bytes: number, what: string): number {
    const size = Math.max(HEAP_ALIGN, alignUp(bytes, HEAP_ALIGN));
    const at = this.#fit(size) ?? this.#extend(size, what);
    const dirty = Math.min(at + size, this.#fresh);
    if (dirty > at) this.u8.fill(0, at, dirty);
    this.#fresh = Math.max(this.#fresh, at + size);
    return at;
  }

  /** Gives a range back: `bytes` as it was taken. */
  give(start: number, bytes: number): void {
    const end = start + Math.max(HEAP_ALIGN, alignUp(bytes, HEAP_ALIGN));
    let i = this.#free.findIndex((r) => r.start > start);
    if (i < 0) i = this.#free.length;
    this.#free.splice(i, 0, { start, end });
    this.#merge(i);
    if (i > 0) this.#merge(i - 1);
    const last = this.#free.at(-1);
    if (last !== undefined && last.end === this.#top) {
      this.#top = last.start;
      this.#free.pop();
    }
  }

  #merge(i: number): void {
    const range = this.#free[i]!, next = this.#free[i + 1];
    if (next === undefined || range.end !== next.start) return;
    range.end = next.end;
    this.#free.splice(i + 1, 1);
  }

  #fit(size: number): number | undefined {
    const i = this.#free.findIndex((r) => r.end - r.start >= size);
    if (i < 0) return undefined;
    const range = this.#free[i]!, at = range.start;
    range.start += size;
    if (range.start === range.end) this.#free.splice(i, 1);
    return at;
  }

  #extend(size: number, what: string): number {
    const at = this.#top, end = at + size;
    if (end > this.#limit || !this.#grow(end + TAIL)) {
      throw new MoqeError("over_budget", {
        action: `take ${formatBytes(size)} of the WASM heap for ${what}`,
        rule: `the heap of ${formatBytes(this.#limit)} has no such range left`,
        observed: `${formatBytes(at)} in use, ${this.#free.length} gaps`,
        remedy: "raise --gpu-memory (at most 4 GiB on the CPU) or lower the batch limits",
      });
    }
    this.#top = end;
    return at;
  }

  #grow(end: number): boolean {
    const pages = Math.ceil(end / PAGE) - this.memory.buffer.byteLength / PAGE;
    if (pages <= 0) return true;
    try {
      this.memory.grow(pages);
    } catch {
      return false;
    }
    this.#view();
    return true;
  }

  /** Views keep the length they were made with: nobody may keep them over an allocation. */
  #view(): void {
    const buffer = this.memory.buffer as unknown as SharedArrayBuffer;
    this.u8 = new Uint8Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.f32 = new Float32Array(buffer);
  }
}
