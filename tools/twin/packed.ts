/** Random matrices in every packed form beside what they mean in float64: the naive encoder of tests and benchmarks. */
import {
  type CodeBits,
  codePosition,
  highBitPosition,
  type MatrixFormat,
  matrixLayout,
} from "../../src/base/layout.ts";
import { TRELLIS_LEVELS } from "../../src/base/trellis.ts";
import { rotationMatrix } from "./rotation.ts";
import type { MatrixLayout } from "../../src/base/layout.ts";

export interface PackedTwin {
  format: MatrixFormat;
  layout: MatrixLayout;
  /** Codes, then scales, as a trunk matrix lies on the device. */
  bytes: Uint8Array<ArrayBuffer>;
  /** float64 [rows, cols]: the weights that those bytes stand for. */
  dense: Float64Array;
}

/** A number in [0, 1) a call. */
export type Random = () => number;

/** mulberry32: small, seeded, good enough for tests. */
export function seeded(seed: number): Random {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** A normal deviate. */
export function gauss(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/**
 * Random codes and scales of any format. Floats include zeros and halves' subnormals more often than trained
 * weights do, unless `trained` asks for a plain normal distribution.
 */
export function packedRandom(
  rows: number,
  cols: number,
  format: MatrixFormat,
  random: Random,
  trained = false,
): PackedTwin {
  const layout = matrixLayout(rows, cols, format);
  const bytes = new Uint8Array(layout.codesBytes + layout.scalesBytes);
  const twin = { format, layout, bytes, dense: new Float64Array(rows * cols) };
  if (format.bits === 16 || format.bits === 32) fillFloats(twin, random, trained);
  else fillCodes(twin, format.bits, random);
  return twin;
}

function fillFloats(twin: PackedTwin, random: Random, trained: boolean): void {
  const { format, layout, bytes, dense } = twin;
  const { rows, cols, colsPadded } = layout;
  const view = format.bits === 16
    ? new Float16Array(bytes.buffer, 0, rows * colsPadded)
    : new Float32Array(bytes.buffer, 0, rows * colsPadded);
  for (let n = 0; n < rows; n++) {
    for (let k = 0; k < cols; k++) {
      const rare = random();
      const size = trained ? 0.03 : rare < 0.02 ? 1e-6 : rare < 0.03 ? 0 : 0.5;
      view[n * colsPadded + k] = gauss(random) * size;
      dense[n * cols + k] = view[n * colsPadded + k]!;
    }
  }
}

function fillCodes(twin: PackedTwin, bits: CodeBits, random: Random): void {
  const { format, layout, bytes, dense } = twin;
  const { rows, cols, colsPadded, groups, rowBytes, codesBytes } = layout;
  const words = new Uint32Array(bytes.buffer, 0, codesBytes / 4);
  const scales = new Float16Array(bytes.buffer, codesBytes, rows * groups);
  const group = format.group === 0 ? colsPadded : format.group;
  for (let i = 0; i < scales.length; i++) scales[i] = (0.5 + random()) / 2 ** (bits - 1);
  const codes = Array.from({ length: rows }, () => new Uint8Array(cols));
  for (let n = 0; n < rows; n++) {
    for (let k = 0; k < cols; k++) {
      const code = codes[n]![k] = Math.floor(random() * 2 ** bits);
      const { word, shift } = codePosition(k, bits);
      words[n * rowBytes / 4 + word]! |= (bits === 3 ? code & 3 : code) << shift;
      if (bits === 3) {
        const high = highBitPosition(k);
        words[n * rowBytes / 4 + high.word]! |= (code >> 2) << high.shift;
      }
      const scale = scales[n * groups + Math.floor(k / group)]!;
      const level = format.trellis
        ? trellisLevel(codes, n, k)
        : format.levels?.[code] ?? code - format.zero;
      dense[n * cols + k] = scale * level;
    }
  }
  if (format.rotated) dense.set(unrotated(dense, rows, cols));
}

/** The level of row n, column k, spelled out: its code's bits below, above them those of three rows that came before. */
function trellisLevel(codes: readonly Uint8Array[], n: number, k: number): number {
  const bit = (back: number, which: number) => (codes[n - back]?.[k] ?? 0) >> which & 1;
  const third = bit(1, 0) ^ bit(2, 1) ^ bit(3, 1), fourth = bit(1, 1) ^ bit(2, 0) ^ bit(3, 0);
  return TRELLIS_LEVELS[bit(0, 0) + 2 * bit(0, 1) + 4 * third + 8 * fourth]!;
}

/** What rotated rows mean for an input that is not: W R. */
function unrotated(dense: Float64Array, rows: number, cols: number): Float64Array {
  const r = rotationMatrix(cols), out = new Float64Array(rows * cols);
  for (let n = 0; n < rows; n++) {
    for (let i = 0; i < cols; i++) {
      const w = dense[n * cols + i]!;
      for (let k = 0; k < cols; k++) out[n * cols + k]! += w * r[i * cols + k]!;
    }
  }
  return out;
}
