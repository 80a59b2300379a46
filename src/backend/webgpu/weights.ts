/** A packed matrix as kernels take it: constants of its format, and the parts that fit in a binding. */
import type { MatrixFormat, MatrixLayout } from "../../base/layout.ts";
import { rotationBlock } from "../../base/rotation.ts";
import { TRELLIS_LEVELS } from "../../base/trellis.ts";
import { alignUp } from "../../base/units.ts";
import type { Matrix } from "../contract.ts";
import { checkMatrix, refuse } from "../shapes.ts";
import { bind, type Binding } from "./buffers.ts";
import type { Constants } from "./kernels.ts";
import type { Run } from "./operands.ts";
import { type GemmTile, lanesOf, type Tiles } from "./tiles.ts";

/** What kernels need to know of a format and a width. */
export interface Weights {
  readonly format: MatrixFormat;
  readonly layout: MatrixLayout;
  /** Vectors of four activations a row, of K or of what it is padded to. */
  readonly kq: number;
  /** Units a row and vec4<u32> a unit. */
  readonly units: number;
  readonly vecs: number;
  /** Activations must be padded or rotated first. */
  readonly staged: boolean;
  /** Columns of a block of the rotation; 0 for none. */
  readonly rotation: number;
  readonly lanes: number;
  readonly tiles: Tiles;
  /** Constants of weights.wgsl alone, with those of gemv.wgsl, with those of gemm.wgsl by tile. */
  readonly decode: Constants;
  readonly gemv: Constants;
  readonly gemm: Readonly<Record<"few" | "many" | "experts", Constants>>;
}

const known = new WeakMap<MatrixLayout, Weights>();

/** Reads a format and layout, once. Throws RangeError for a codebook that is none. */
export function weightsOf(format: MatrixFormat, layout: MatrixLayout, tiles: Tiles): Weights {
  const before = known.get(layout);
  if (before?.format === format && before.tiles === tiles) return before;
  const { bits } = format, unit = bits === 3 ? 128 : 128 / bits;
  const units = layout.colsPadded / unit, kq = alignUp(layout.cols, 4) / 4;
  // A row's width alone decides.
  const lanes = lanesOf(units, tiles);
  const decode: Constants = {
    BITS: bits,
    ...levelConstants(format),
    KV: unit / 4,
    VECS: bits === 3 ? 3 : 1,
    HALVES: bits === 3 ? 2 : 1,
    FIELD: bits === 3 || bits >= 16 ? 2 : bits,
    GROUP_KV: format.group === 0 ? 2 ** 30 : format.group / 4,
    PADDED: kq * 4 < layout.colsPadded ? 1 : 0,
  };
  const gemv = { ...decode, LANES: lanes, THREADS: tiles.gemvThreads };
  const made: Weights = {
    format,
    layout,
    kq,
    units,
    vecs: decode.VECS!,
    staged: layout.cols % 4 !== 0 || format.rotated === true,
    rotation: format.rotated ? rotationBlock(layout.cols) : 0,
    lanes,
    tiles,
    decode,
    gemv,
    gemm: {
      few: gemmConstants(gemv, tiles.few),
      many: gemmConstants(gemv, tiles.many),
      experts: gemmConstants(gemv, tiles.experts),
    },
  };
  known.set(layout, made);
  return made;
}

/** gemm.wgsl looks at K itself, padded or not. */
function gemmConstants(gemv: Constants, { threads, ty, step }: GemmTile): Constants {
  return { ...gemv, PADDED: 0, THREADS: threads, TY: ty, STEP: step };
}

function levelConstants({ bits, zero, levels, trellis }: MatrixFormat): Constants {
  if (trellis) return { TRELLIS: 1, ...tableConstants(TRELLIS_LEVELS) };
  if (levels === undefined) return { ZERO: bits < 16 ? zero : 0 };
  const fits = levels.length === 2 ** bits && bits <= 4 &&
    levels.every((l) => Number.isInteger(l) && Math.abs(l) <= 127);
  if (!fits) {
    refuse("read a codebook", "it has 2^bits whole levels from -127 to 127", String(levels));
  }
  return tableConstants(levels);
}

/** Up to 16 levels as bytes of four words. */
function tableConstants(levels: readonly number[]): Constants {
  const words = new Int32Array(4);
  new Int8Array(words.buffer).set(levels);
  const [a, b, c, d] = new Uint32Array(words.buffer);
  return { LEVELS: 1, LEVELS_0: a!, LEVELS_1: b!, LEVELS_2: c!, LEVELS_3: d! };
}

/** Rows first .. first + count - 1 of a matrix, as two bindings that see no more than a kernel may. */
export interface Part {
  readonly first: number;
  readonly count: number;
  readonly codes: Binding;
  readonly words: Binding | undefined;
}

/** A checked matrix of `cols` columns. */
export function matrixWeights(
  run: Run,
  w: Matrix,
  cols: number,
  action: string,
  name: string,
): Weights {
  checkMatrix(w, cols, action, name);
  return weightsOf(w.format, w.layout, run.tiles);
}

/** A matrix's rows `from` to `to` (exclusive) in as few parts as bindings allow. */
export function* partsOf(
  run: Run,
  w: Matrix,
  action: string,
  from = 0,
  to = w.layout.rows,
): Generator<Part> {
  const { limits } = run.gpu, { layout } = w;
  const whole = w.buffer.bytes <= limits.maxBindingBytes;
  const room = limits.maxBindingBytes - limits.offsetAlignment;
  const most = whole ? to - from : Math.floor(room / layout.rowBytes);
  if (most < 1) {
    refuse(action, `a row fits in a binding of ${limits.maxBindingBytes}`, `${layout.rowBytes}`);
  }
  if (w.format.trellis && (from > 0 || most < to)) {
    refuse(action, "a trellis' rows lie in one binding, with those above them", `${most} of ${to}`);
  }
  const scales = layout.groups * 2;
  for (let first = from; first < to; first += most) {
    const count = Math.min(most, to - first);
    const codesAt = w.offset + first * layout.rowBytes;
    const scalesAt = w.offset + layout.codesBytes + first * scales;
    yield {
      first,
      count,
      codes: bind(limits, w.buffer, codesAt, count * layout.rowBytes, action),
      words: scales === 0 ? undefined : bind(limits, w.buffer, scalesAt, count * scales, action),
    };
  }
}
