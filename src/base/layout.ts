/**
 * Bit layouts: how a matrix and an expert lie in bytes, in the store, in an arena and under a kernel alike.
 *
 * A matrix W [rows, cols] is its codes, then (below 16 bits) its scales. Codes lie in 128-bit units of
 * four u32 words. A unit of 2-bit codes holds 64 weights: weight i of a unit is in word i % 4 at bit
 * bits * floor(i / 4). So `(unit >> bits * s) & mask` yields the four consecutive weights 4s..4s+3, one a
 * lane, on WASM (v128) and in WGSL (vec4<u32>) alike.
 *
 * 3-bit codes take three units for 128 weights: two units of their low two bits, laid as 2-bit codes, then one of
 * their high bits, where step s of the first half is at bit 2s and of the second at bit 2s + 1.
 */
import { alignUp } from "./units.ts";

/** 2-, 3-, 4-, 8-bit codes; 16 is IEEE half; 32 is f32. */
export type Bits = CodeBits | 16 | 32;
/** Widths that are codes with scales. */
export type CodeBits = 2 | 3 | 4 | 8;

/**
 * How the weights of a matrix are written.
 * Below 16 bits: weight = scale[row, group] * (code - zero), or scale * levels[code] where levels are given, or
 * scale * the level of base/trellis.ts.
 */
export interface MatrixFormat {
  readonly bits: Bits;
  /** Weights that share a scale, along a row; 0 means the whole row (one scale a channel). Unused from 16 bits. */
  readonly group: 0 | 32 | 64 | 128;
  /** The code that stands for zero: 1.5 and 3.5 for symmetric 2 and 3 bits, 8 and 128 for 4 and 8 bits. */
  readonly zero: number;
  /**
   * A codebook in place of evenly spaced levels, at 2 to 4 bits: 2^bits ascending whole numbers from -127 to 127, so
   * that one byte shuffle looks up 16 weights. `zero` is then 0.
   */
  readonly levels?: readonly number[] | undefined;
  /** 2-bit codes of base/trellis.ts, in place of evenly spaced levels; experts alone. `zero` is then 0. */
  readonly trellis?: true | undefined;
  /** The columns are in the basis of base/rotation.ts: whoever multiplies rotates its input first. */
  readonly rotated?: true | undefined;
}

export const F16: MatrixFormat = { bits: 16, group: 0, zero: 0 };
export const F32: MatrixFormat = { bits: 32, group: 0, zero: 0 };

/** Byte offsets of one matrix; all sections start at multiples of 16. */
export interface MatrixLayout {
  readonly rows: number;
  readonly cols: number;
  /** Columns with padding: what one row of codes really holds. Padded codes are 0 and meet activations of 0. */
  readonly colsPadded: number;
  /** Scales a row; 0 from 16 bits. */
  readonly groups: number;
  /** Bytes of one row of codes. */
  readonly rowBytes: number;
  readonly codesBytes: number;
  /** Bytes of the scales (f16 [rows, groups]), padded to 16. */
  readonly scalesBytes: number;
}

/** Alignment of sections inside a block: one vec4<u32>. */
export const SECTION_ALIGN = 16;
/** Blocks are padded to this, the default offset alignment of a storage binding. */
export const BLOCK_ALIGN = 256;

/** The layout of a matrix [rows, cols] in a format. */
export function matrixLayout(rows: number, cols: number, format: MatrixFormat): MatrixLayout {
  const quantized = format.bits < 16;
  const unit = quantized ? Math.max(format.bits === 3 ? 128 : 64, format.group) : 128 / format.bits;
  const colsPadded = alignUp(cols, unit);
  const groups = !quantized ? 0 : format.group === 0 ? 1 : colsPadded / format.group;
  const rowBytes = colsPadded * format.bits / 8;
  return {
    rows,
    cols,
    colsPadded,
    groups,
    rowBytes,
    codesBytes: rows * rowBytes,
    scalesBytes: alignUp(rows * groups * 2, SECTION_ALIGN),
  };
}

/** Bytes of a whole trunk matrix: its codes, then its scales. */
export function matrixBytes(layout: MatrixLayout): number {
  return layout.codesBytes + layout.scalesBytes;
}

/** One projection of an expert: fc1 [d_ff, d_model], fc2 [d_model, d_ff]. */
export interface ProjectionShape {
  readonly name: string;
  readonly rows: number;
  readonly cols: number;
  readonly bias: boolean;
}

export interface ProjectionOffsets {
  readonly layout: MatrixLayout;
  /** Byte offsets from the start of the block; biasOffset is -1 where there is no bias (f32 [rows] else). */
  readonly codesOffset: number;
  readonly scalesOffset: number;
  readonly biasOffset: number;
}

/** One expert's block: all codes, then all scales, then all biases, padded to 256 bytes. */
export interface ExpertLayout {
  readonly format: MatrixFormat;
  readonly projections: readonly ProjectionOffsets[];
  readonly bytes: number;
  /** Which of its layer's bases (base/plan.ts) the matrices are added to; undefined: they are whole. */
  readonly base?: number | undefined;
}

/** The layout of a block that holds these projections. */
export function expertLayout(
  projections: readonly ProjectionShape[],
  format: MatrixFormat,
): ExpertLayout {
  const layouts = projections.map((p) => matrixLayout(p.rows, p.cols, format));
  let top = 0;
  const take = (bytes: number) => {
    const at = top;
    top += alignUp(bytes, SECTION_ALIGN);
    return at;
  };
  const codes = layouts.map((l) => take(l.codesBytes));
  const scales = layouts.map((l) => take(l.scalesBytes));
  const biases = projections.map((p) => p.bias ? take(p.rows * 4) : -1);
  return {
    format,
    projections: layouts.map((layout, i) => ({
      layout,
      codesOffset: codes[i]!,
      scalesOffset: scales[i]!,
      biasOffset: biases[i]!,
    })),
    bytes: alignUp(top, BLOCK_ALIGN),
  };
}

/** Where the code of weight `col` (of 3 bits: its low two) lies among its row's u32 words. */
export function codePosition(col: number, bits: CodeBits): { word: number; shift: number } {
  if (bits === 3) {
    const { word, shift } = codePosition(col % 128, 2);
    return { word: Math.floor(col / 128) * 12 + word, shift };
  }
  const perUnit = 128 / bits;
  const unit = Math.floor(col / perUnit), i = col % perUnit;
  return { word: unit * 4 + (i & 3), shift: bits * (i >> 2) };
}

/** Where the high bit of a 3-bit code lies. */
export function highBitPosition(col: number): { word: number; shift: number } {
  const i = col % 64, half = Math.floor(col / 64) & 1;
  return { word: Math.floor(col / 128) * 12 + 8 + (i & 3), shift: 2 * (i >> 2) + half };
}
