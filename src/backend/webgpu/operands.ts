/** Operands of an operation as kernels bind them: checked, with the place where each begins. */
import type {
  DeviceRange,
  IndexArray,
  RowMask,
  ScratchShape,
  Tensor,
  Vector,
} from "../contract.ts";
import { checkTensor, checkVector, refuse } from "../shapes.ts";
import { bind, type Binding, type GpuBuffer } from "./buffers.ts";
import type { Constants } from "./kernels.ts";
import type { Gpu } from "./gpu.ts";
import type { ScratchSizes } from "./scratch.ts";
import type { Tiles } from "./tiles.ts";

/** What operations work with. */
export interface Run {
  readonly gpu: Gpu;
  readonly shape: ScratchShape;
  readonly sizes: ScratchSizes;
  readonly tiles: Tiles;
  readonly scratch: Readonly<
    Record<"hidden" | "staged" | "lists" | "logits" | "records" | "mask", GpuBuffer>
  >;
}

/** The word that stands for "there is none" in parameters. */
export const NONE = 0xffffffff;
export const NO_CONSTANTS: Constants = {};

/** A checked tensor of at least `rows` rows. */
export function tensor(
  run: Run,
  t: Tensor,
  rows: number,
  cols: number,
  action: string,
  name: string,
): Binding {
  checkTensor(t, rows, cols, action, name);
  return bind(run.gpu.limits, t.buffer, t.offset, rows * cols * 4, action);
}

/** A checked vector. */
export function vector(
  run: Run,
  v: Vector,
  length: number,
  action: string,
  name: string,
): Binding {
  checkVector(v, length, action, name);
  return bind(run.gpu.limits, v.buffer, v.offset, length * 4, action);
}

/** A checked range of the device. */
export function range(run: Run, r: DeviceRange, bytes: number, action: string): Binding {
  return bind(run.gpu.limits, r.buffer, r.offset, bytes, action);
}

/** Scratch as a binding. */
export function scratch(run: Run, name: keyof Run["scratch"]): Binding {
  const buffer = run.scratch[name];
  return bind(run.gpu.limits, buffer, 0, buffer.bytes, "use scratch");
}

/** Where an operand begins, in words. */
export function word(b: Binding | undefined): number {
  return b === undefined ? 0 : b.base / 4;
}

/** Where a mask begins, or NONE. */
export function maskWord(b: Binding | undefined): number {
  return b === undefined ? NONE : b.base / 4;
}

/** Rows of a call must be no more than were prepared for. */
export function checkRows(run: Run, rows: number, action: string): void {
  const { maxRows } = run.shape;
  if (rows > maxRows) {
    refuse(action, `a call has at most the ${maxRows} rows prepared for`, String(rows));
  }
}

/** An output may not lie in a buffer that the same kernel reads. */
export function checkApart(out: Binding, inputs: readonly (Binding | undefined)[], action: string) {
  for (const b of inputs) {
    if (b?.buffer === out.buffer) {
      refuse(action, "out must lie in a buffer of its own", out.buffer.label);
    }
  }
}

/** Indices of one operation: room for all is made when it begins, each then goes to the device. */
export class Indices {
  constructor(
    private readonly run: Run,
    private readonly action: string,
    arrays: readonly (readonly [IndexArray | undefined, number])[],
  ) {
    let words = 0;
    for (const [array, count] of arrays) {
      if (!(array instanceof Int32Array)) continue;
      if (array.length < count) {
        refuse(action, `it needs ${count} indices`, String(array.length));
      }
      words += count;
    }
    run.gpu.reserve(words);
  }

  /** An index array that is there. */
  take(array: IndexArray, count: number): Binding {
    if (array instanceof Int32Array) return this.run.gpu.upload(array, count);
    return bind(this.run.gpu.limits, array.buffer, array.offset, count * 4, this.action);
  }

  /**
   * A mask, undefined where every row is live. One that lies in a buffer that the operation writes is copied: a
   * kernel may not read and write one buffer, results and masks may share one.
   */
  mask(
    mask: RowMask,
    rows: number,
    outputs: readonly (Binding | undefined)[] = [],
  ): Binding | undefined {
    if (mask === undefined) return undefined;
    const taken = this.take(mask, rows);
    if (!outputs.some((b) => b?.buffer === taken.buffer)) return taken;
    const copy = this.run.scratch.mask, at = taken.offset + taken.base;
    this.run.gpu.copy(taken.buffer.gpu!, at, copy.gpu!, 0, rows * 4);
    return bind(this.run.gpu.limits, copy, 0, rows * 4, this.action);
  }
}

/**
 * Indices that the host knows must be within `low` to `high` for live rows. What lies on the device cannot be looked
 * at: kernels skip rows whose indices are out of range.
 */
export function checkIndices(
  indices: IndexArray,
  mask: RowMask,
  bounds: { count: number; low: number; high: number; name: string },
  action: string,
): void {
  if (!(indices instanceof Int32Array)) return;
  for (let t = 0; t < bounds.count; t++) {
    if (mask instanceof Int32Array && mask[t] === 0) continue;
    const value = indices[t]!;
    if (value < bounds.low || value > bounds.high) {
      refuse(action, `${bounds.name} must be ${bounds.low} to ${bounds.high}`, String(value));
    }
  }
}
