/** Whole matrices: quantize for small ones and tests, dequantize as the definition of what kernels decode. */
import { type MatrixFormat, type MatrixLayout, matrixLayout } from "../base/layout.ts";
import { unrotate } from "../base/rotation.ts";
import { TRELLIS_LEVELS, trellisUpper } from "../base/trellis.ts";
import { unpackRow } from "./codes.ts";
import { MatrixEncoder } from "./encoder.ts";
import { halfTable } from "./half.ts";
import type { Hessian } from "./moments.ts";
import type { Recipe } from "./quantizers.ts";

/** A matrix in bytes: codes [rows, rowBytes] and f16 scales [rows, groups] as bits. */
export interface EncodedMatrix {
  readonly layout: MatrixLayout;
  readonly format: MatrixFormat;
  readonly codes: Uint8Array<ArrayBuffer>;
  readonly scales: Uint16Array<ArrayBuffer>;
}

/** Quantizes f32 weights [rows, cols]. `name` is the tensor's, for errors. */
export function quantizeMatrix(
  weights: Float32Array,
  rows: number,
  cols: number,
  recipe: Recipe,
  name = "matrix",
  hessian?: Hessian,
): EncodedMatrix {
  const encoder = new MatrixEncoder(name, rows, cols, recipe, hessian);
  const { layout } = encoder;
  const codes = new Uint8Array(layout.codesBytes);
  const scales = new Uint16Array(rows * layout.groups);
  encoder.encodeRows(weights, rows, codes, scales);
  return { layout, format: recipe.format, codes, scales };
}

/**
 * What kernels decode: weight = scale * (code - zero), or scale * levels[code], or as the trellis has it; f16 and f32 as
 * they are. Rotated rows are turned back, so that the result multiplies inputs as they come.
 */
export function dequantize(matrix: EncodedMatrix): Float32Array<ArrayBuffer> {
  const { rows, cols } = matrix.layout;
  const out = new Float32Array(rows * cols);
  for (let r = 0; r < rows; r++) dequantizeRow(matrix, r, out.subarray(r * cols, (r + 1) * cols));
  return out;
}

/** One row, f32 [cols], into `out`; of a trellis it takes the three before it, too. */
export function dequantizeRow(matrix: EncodedMatrix, row: number, out: Float32Array): void {
  const { layout, format, codes, scales } = matrix;
  const start = codes.byteOffset + row * layout.rowBytes;
  const { bits } = format;
  if (bits === 32) {
    return out.set(new Float32Array(codes.buffer, start, layout.cols));
  }
  const halves = halfTable();
  if (bits === 16) {
    const words = new Uint16Array(codes.buffer, start, layout.cols);
    for (let i = 0; i < layout.cols; i++) out[i] = halves[words[i]!]!;
    return;
  }
  const unpacked = (r: number): Uint8Array => {
    const out = new Uint8Array(layout.colsPadded), at = codes.byteOffset + r * layout.rowBytes;
    if (r >= 0) unpackRow(new Uint32Array(codes.buffer, at, layout.rowBytes / 4), out, bits);
    return out;
  };
  const row8 = unpacked(row), levels = format.trellis ? TRELLIS_LEVELS : format.levels;
  if (format.trellis) {
    const [one, two, three] = [unpacked(row - 1), unpacked(row - 2), unpacked(row - 3)];
    for (let i = 0; i < layout.cols; i++) {
      row8[i]! |= trellisUpper(one[i]!, two[i]!, three[i]!) << 2;
    }
  }
  const span = format.group || layout.colsPadded;
  for (let i = 0; i < layout.cols; i++) {
    const scale = halves[scales[row * layout.groups + Math.floor(i / span)]!]!;
    const code = row8[i]!;
    out[i] = scale * (levels === undefined ? code - format.zero : levels[code]!);
  }
  if (format.rotated) unrotate(out, 0, layout.cols);
}

/** A matrix's sections as they lie in bytes: codes, then scales (see matrixLayout). Nothing is copied. */
export function viewMatrix(
  bytes: Uint8Array<ArrayBuffer>,
  rows: number,
  cols: number,
  format: MatrixFormat,
  offsets: { codesOffset: number; scalesOffset: number },
): EncodedMatrix {
  const layout = matrixLayout(rows, cols, format);
  const at = bytes.byteOffset;
  return {
    layout,
    format,
    codes: bytes.subarray(offsets.codesOffset, offsets.codesOffset + layout.codesBytes),
    scales: new Uint16Array(bytes.buffer, at + offsets.scalesOffset, rows * layout.groups),
  };
}
