/** Where operands lie, after checks that keep a bug from becoming a wrong read or a stray write. */
import type { Reservation } from "../../base/ledger.ts";
import type { DeviceBuffer, Matrix, Tensor, Vector } from "../contract.ts";
import { checkMatrix, checkTensor, checkVector, refuse } from "../shapes.ts";

export { refuse };

/** A range of the heap. `pointer` is 0 once it was given back. */
export class CpuBuffer implements DeviceBuffer {
  constructor(
    readonly id: number,
    readonly bytes: number,
    readonly label: string,
    public pointer: number,
    readonly reservation: Reservation,
  ) {}
}

/** Address of `bytes` bytes at `offset` of a live buffer of this backend. */
export function rangeAt(
  buffer: DeviceBuffer,
  offset: number,
  bytes: number,
  action: string,
): number {
  if (!(buffer instanceof CpuBuffer)) {
    return refuse(action, "its buffer is another backend's", buffer.label);
  }
  if (buffer.pointer === 0) return refuse(action, "its buffer was freed", buffer.label);
  if (!(offset >= 0 && bytes >= 0 && offset + bytes <= buffer.bytes)) {
    return refuse(
      action,
      `a range must lie inside buffer ${buffer.label} of ${buffer.bytes} bytes`,
      `${bytes} bytes at ${offset}`,
    );
  }
  return buffer.pointer + offset;
}

/** Address of a tensor that must have at least `rows` rows and exactly `cols` columns. */
export function tensorAt(
  t: Tensor,
  rows: number,
  cols: number,
  action: string,
  name: string,
): number {
  checkTensor(t, rows, cols, action, name);
  return rangeAt(t.buffer, t.offset, rows * cols * 4, action);
}

/** Address of a vector of `length` floats. */
export function vectorAt(v: Vector, length: number, action: string, name: string): number {
  checkVector(v, length, action, name);
  return rangeAt(v.buffer, v.offset, length * 4, action);
}

/** Address of a matrix's codes, checked to hold codes and scales and to have `cols` columns. */
export function matrixAt(w: Matrix, cols: number, action: string, name: string): number {
  checkMatrix(w, cols, action, name);
  return rangeAt(w.buffer, w.offset, w.layout.codesBytes + w.layout.scalesBytes, action);
}
