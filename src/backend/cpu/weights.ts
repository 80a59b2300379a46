/** A packed matrix as kernels take it: which kind, where it lies, how its input is staged. */
import type { MatrixFormat, MatrixLayout } from "../../base/layout.ts";
import { rotationBlock } from "../../base/rotation.ts";
import { TRELLIS_LEVELS, TRELLIS_TOP } from "../../base/trellis.ts";
import type { Device } from "./device.ts";
import { refuse } from "./guards.ts";
import { Kind } from "./kernels.ts";

/** A packed matrix as kernels take it. */
export interface Weights {
  kind: Kind;
  codes: number;
  scales: number;
  rowBytes: number;
  n: number;
  k: number;
  kPadded: number;
  /** Columns of a block of the rotation that the input takes first; 0 for none. */
  rotation: number;
  /** Scales a row; columns that share an accumulator; 4 to step through the scales, 0 where there is one. */
  groups: number;
  group: number;
  scaleStep: number;
  /** The zero that is left after what the kernel takes off early. */
  zero: number;
  /** Rows of the matrix that lie before these; a trellis reads three of them. */
  above: number;
  /**
   * Staging: after each `each` steps activations are multiplied by a further `ratio`, from 1 again after `period` steps.
   */
  ratio: number;
  period: number;
  each: number;
}

/** A row with one scale still adds up in groups of this many columns. */
const CHANNEL_GROUP = 64;

const DENSE = { groups: 0, group: 0, scaleStep: 0, zero: 0, ratio: 1, period: 1 };

/** Reads format and layout; `codes` and `scales` are addresses. Levels go to scratch. */
export function weightsOf(
  d: Device,
  format: MatrixFormat,
  layout: MatrixLayout,
  codes: number,
  scales: number,
): Weights {
  const shape = {
    codes,
    scales,
    rowBytes: layout.rowBytes,
    n: layout.rows,
    k: layout.cols,
    kPadded: layout.colsPadded,
    rotation: format.rotated ? rotationBlock(layout.cols) : 0,
    above: 0,
    each: 1,
  };
  if (format.bits === 32) return { kind: Kind.f32, ...shape, ...DENSE };
  if (format.bits === 16) return { kind: Kind.f16, ...shape, ...DENSE };
  const scaled = {
    groups: layout.groups,
    group: format.group === 0 ? CHANNEL_GROUP : format.group,
    scaleStep: format.group === 0 ? 0 : 4,
  };
  if (format.levels !== undefined) {
    return { kind: placeLevels(d, format), ...shape, ...scaled, zero: 0, ratio: 1, period: 1 };
  }
  if (format.trellis) {
    placeTrellis(d);
    const staged = { ratio: 1 / 256, period: 16, each: 4 };
    return { kind: Kind.trellis, ...shape, ...scaled, zero: TRELLIS_TOP, ...staged };
  }
  if (format.bits === 8) {
    return {
      kind: Kind.eight,
      ...shape,
      ...scaled,
      zero: format.zero - 128,
      ratio: 1 / 256,
      period: 4,
    };
  }
  if (format.bits === 4) {
    return { kind: Kind.four, ...shape, ...scaled, zero: format.zero, ratio: 1 / 16, period: 4 };
  }
  const kind = format.bits === 3 ? Kind.three : Kind.two;
  return { kind, ...shape, ...scaled, zero: format.zero, ratio: 1 / 4, period: 8 };
}

/** Floats of a codebook lie this far behind its bytes. */
export const LEVELS_F32 = 16;

/** The table of a trellis, as bytes from 0 on. */
const TABLE = Uint8Array.from(TRELLIS_LEVELS, (l) => l + TRELLIS_TOP);

function placeTrellis(d: Device): void {
  d.heap.u8.set(TABLE, d.scratch.at.levels);
}

/** Puts a codebook where kernels read it, for the products that follow. */
function placeLevels(d: Device, { bits, levels }: MatrixFormat): Kind {
  const fits = levels!.length === 2 ** bits && bits <= 4 &&
    levels!.every((l) => Number.isInteger(l) && Math.abs(l) <= 127);
  if (!fits) {
    refuse("read a codebook", "it has 2^bits whole levels from -127 to 127", String(levels));
  }
  const at = d.scratch.at.levels;
  new Int8Array(d.heap.u8.buffer, at, 16).set(levels!);
  d.heap.f32.set(levels!, (at + LEVELS_F32) / 4);
  return bits === 2 ? Kind.levels2 : bits === 3 ? Kind.levels3 : Kind.levels4;
}
