/**
 * Device bytes to the host through a staging buffer that is mapped for each piece.
 *
 * An awaited map costs about 11 ms in Deno, which polls and then sleeps. Where `syncReadbackWorks` says so, the map
 * is asked for and read at once, without giving up the thread. The first map of a buffer must be awaited in any
 * case: without that the process dies.
 */
import type { Gpu } from "./gpu.ts";

/** Bytes of the staging buffer: larger readbacks come in pieces. */
export const STAGING_BYTES = 2 ** 18;

/** Reads through one staging buffer, which is its caller's. */
export class Readback {
  #warm = false;
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly gpu: Gpu,
    private readonly staging: GPUBuffer,
    readonly synchronous: boolean,
  ) {}

  /** Bytes of a buffer after everything recorded so far; throws what the device reports up to there. */
  read(source: GPUBuffer, offset: number, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
    // One reader at a time: the staging buffer is one.
    const run = () => this.#read(source, offset, bytes);
    const result = this.#waiting++ === 0 ? run() : this.#last.then(run);
    this.#last = result.catch(() => {}).finally(() => this.#waiting--);
    return result;
  }

  async #read(source: GPUBuffer, offset: number, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const out = new Uint8Array(bytes), end = offset + bytes;
    let from = offset - offset % 4;
    this.gpu.errors.check();
    do {
      const size = Math.min(STAGING_BYTES, end - from + 3 & ~3);
      if (size > 0) this.gpu.copy(source, from, this.staging, 0, size);
      this.gpu.submit();
      if (size > 0) {
        const piece = await this.#mapped(size);
        const skip = Math.max(0, offset - from), at = from + skip - offset;
        out.set(piece.subarray(skip, skip + Math.min(size - skip, bytes - at)), at);
      }
      from += STAGING_BYTES;
    } while (from < end);
    await this.gpu.errors.settle();
    return out;
  }

  async #mapped(size: number): Promise<Uint8Array> {
    const ready = this.staging.mapAsync(GPUMapMode.READ, 0, size);
    if (this.#warm && this.synchronous) {
      try {
        return this.#take(size);
      } catch {
        // Not mapped yet after all: the promise tells when.
      } finally {
        ready.catch(() => {});
      }
    }
    await ready.catch((cause) => this.gpu.errors.unmapped(cause));
    this.#warm = true;
    return this.#take(size);
  }

  #take(size: number): Uint8Array {
    const bytes = new Uint8Array(this.staging.getMappedRange(0, size)).slice();
    this.staging.unmap();
    return bytes;
  }
}
