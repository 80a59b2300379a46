/** Device memory: every buffer is asked of the ledger first and given back exactly once. */
import { MoqeError } from "../../base/errors.ts";
import type { GpuLine, Ledger } from "../../base/ledger.ts";
import { alignUp, formatBytes } from "../../base/units.ts";
import type { DeviceBuffer } from "../contract.ts";
import { refuse } from "../shapes.ts";
import { GpuBuffer } from "./buffers.ts";

/** What buffers are made for; every storage buffer can be written, copied from and copied to. */
export const USAGE = {
  STORAGE: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  UNIFORM: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
  READ: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
} as const;

/** The buffers of one backend. */
export class DeviceMemory {
  readonly #buffers = new Set<GpuBuffer>();
  #nextId = 1;

  constructor(
    private readonly device: GPUDevice,
    private readonly ledger: Ledger,
    private readonly maxBufferBytes: number,
  ) {}

  /** Zeroed bytes. Throws MoqeError `over_budget`, or `unsupported` for more than a buffer can hold. */
  take(label: string, bytes: number, line: GpuLine, usage: number): GpuBuffer {
    if (bytes > this.maxBufferBytes) {
      throw new MoqeError("unsupported", {
        action: `take ${formatBytes(bytes)} of GPU memory for ${label}`,
        rule: `this GPU's buffers have at most ${formatBytes(this.maxBufferBytes)}`,
        remedy: "use a model with smaller matrices, or --device cpu",
      });
    }
    const size = Math.max(16, alignUp(bytes, 16));
    const reservation = this.ledger.gpu(line, bytes, label);
    try {
      const gpu = this.device.createBuffer({ label, size, usage });
      const buffer = new GpuBuffer(this.#nextId++, bytes, label, gpu, reservation);
      this.#buffers.add(buffer);
      return buffer;
    } catch (error) {
      reservation.release();
      throw error;
    }
  }

  /** Gives a buffer back. Throws RangeError for one that is not there. */
  give(buffer: DeviceBuffer): void {
    if (!(buffer instanceof GpuBuffer) || !this.#buffers.delete(buffer)) {
      refuse("free a buffer", "it must be this backend's and not yet freed", buffer.label);
    }
    buffer.gpu!.destroy();
    buffer.gpu = undefined;
    buffer.reservation.release();
  }

  /** Gives all buffers back. */
  giveAll(): void {
    for (const buffer of [...this.#buffers]) this.give(buffer);
  }
}
