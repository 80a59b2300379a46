/** Device buffers, and the parts of them that kernels see. */
import type { Reservation } from "../../base/ledger.ts";
import { formatBytes } from "../../base/units.ts";
import type { DeviceBuffer } from "../contract.ts";
import { refuse } from "../shapes.ts";

/** A buffer of the device; `gpu` is undefined once it was given back. */
export class GpuBuffer implements DeviceBuffer {
  constructor(
    readonly id: number,
    readonly bytes: number,
    readonly label: string,
    public gpu: GPUBuffer | undefined,
    readonly reservation: Reservation,
  ) {}
}

/** What a kernel sees of a buffer, and where in it an operand begins. */
export interface Binding {
  readonly buffer: GpuBuffer;
  readonly offset: number;
  readonly size: number;
  /** From the binding's start to the operand's first byte. */
  readonly base: number;
}

/** A live buffer of this backend that holds `bytes` at `offset`. Throws RangeError. */
export function liveRange(
  buffer: DeviceBuffer,
  offset: number,
  bytes: number,
  action: string,
): GpuBuffer {
  if (!(buffer instanceof GpuBuffer)) {
    return refuse(action, "its buffer is another backend's", buffer.label);
  }
  if (buffer.gpu === undefined) return refuse(action, "its buffer was freed", buffer.label);
  if (!(offset >= 0 && bytes >= 0 && offset + bytes <= buffer.bytes)) {
    return refuse(
      action,
      `a range must lie inside buffer ${buffer.label} of ${buffer.bytes} bytes`,
      `${bytes} bytes at ${offset}`,
    );
  }
  return buffer;
}

/** Limits that bindings keep to. */
export interface BindingLimits {
  readonly maxBindingBytes: number;
  readonly offsetAlignment: number;
}

/** Binds the whole buffer where that is allowed, so that one bind group serves many calls; else what is needed. */
export function bind(
  limits: BindingLimits,
  buffer: DeviceBuffer,
  offset: number,
  bytes: number,
  action: string,
): Binding {
  const live = liveRange(buffer, offset, bytes, action), { maxBindingBytes } = limits;
  const whole = live.gpu!.size;
  if (whole <= maxBindingBytes) return { buffer: live, offset: 0, size: whole, base: offset };
  const from = offset - offset % limits.offsetAlignment;
  const end = Math.min(whole, offset + bytes + (-(offset + bytes) & 3));
  if (end - from > maxBindingBytes) {
    refuse(
      action,
      `a kernel sees at most ${formatBytes(maxBindingBytes)} of a buffer`,
      `${formatBytes(end - from)} of ${buffer.label}`,
    );
  }
  return { buffer: live, offset: from, size: end - from, base: offset - from };
}
