/** Codebooks: MoQE's powers of two, Lloyd-Max levels of a Gaussian, and Lloyd's iteration on weights themselves. */
import type { CodeBits, MatrixFormat } from "../base/layout.ts";
import { fitScale, Grid } from "./grid.ts";

/** The widths that may have a codebook. */
export type BookBits = Exclude<CodeBits, 8>;
/** The largest level, as a signed byte holds it; scales take up the rest. */
const TOP = 127;

/**
 * MoQE's logarithmic levels +-2^-k, k = 0 .. 2^(bits - 1) - 1, as whole numbers. At 4 bits the largest is 127 in place
 * of 128, which no signed byte holds on both sides.
 */
export function logLevels(bits: BookBits): number[] {
  const half = Array.from({ length: 2 ** (bits - 1) }, (_, k) => Math.min(2 ** k, TOP));
  return [...half.map((l) => -l).reverse(), ...half];
}

/** Least-error levels of a unit Gaussian (Max 1960, table I), positive half. */
const GAUSSIAN: Record<BookBits, number[]> = {
  2: [0.4528, 1.51],
  3: [0.2451, 0.756, 1.344, 2.152],
  4: [0.1284, 0.3881, 0.6568, 0.9424, 1.256, 1.618, 2.069, 2.733],
};

/** Lloyd-Max levels of a Gaussian: where a codebook's fit starts, and what rotated weights take as it is. */
export function gaussianLevels(bits: BookBits): number[] {
  const half = GAUSSIAN[bits];
  return toBytes([...half.map((l) => -l).reverse(), ...half]);
}

const ROUNDS = 12;

/** Rows to fit a codebook to: f32 [rows, cols], and the columns' importance where it is known. */
export interface BookSample {
  readonly weights: Float32Array;
  readonly rows: number;
  readonly cols: number;
  readonly importance?: Float64Array | undefined;
}

/**
 * Lloyd's iteration: each group's best scale and codes for the levels, then each level to the weighted mean of what it
 * stands for. Ends after a fixed number of rounds, or where no level moves. Answers whole, ascending levels.
 */
export function lloydLevels(samples: readonly BookSample[], format: MatrixFormat): number[] {
  const bits = format.bits as BookBits;
  let levels = gaussianLevels(bits);
  for (let round = 0; round < ROUNDS; round++) {
    const grid = new Grid({ ...format, zero: 0, levels });
    const dot = new Float64Array(levels.length), norm = new Float64Array(levels.length);
    for (const sample of samples) collect(sample, format.group, grid, dot, norm);
    const next = toBytes(Array.from(dot, (d, c) => norm[c]! > 0 ? d / norm[c]! : grid.levels[c]!));
    if (next.every((l, c) => l === levels[c])) break;
    levels = next;
  }
  return levels;
}

/** Adds weight * scale and scale^2 of every weight to its code's sums. */
function collect(
  { weights, rows, cols, importance }: BookSample,
  group: number,
  grid: Grid,
  dot: Float64Array,
  norm: Float64Array,
): void {
  const span = group || cols;
  for (let row = 0; row < rows * cols; row += cols) {
    for (let from = 0; from < cols; from += span) {
      const to = Math.min(from + span, cols);
      const scale = fitScale(weights, row, from, to, grid, importance);
      if (scale === 0) continue;
      for (let i = from; i < to; i++) {
        const w = weights[row + i]!, h = importance?.[i] ?? 1;
        const c = grid.code(w / scale);
        dot[c]! += h * w * scale;
        norm[c]! += h * scale * scale;
      }
    }
  }
}

/** Scaled so that the largest is 127, rounded, and kept apart. */
function toBytes(levels: number[]): number[] {
  const sorted = levels.toSorted((a, b) => a - b);
  const most = Math.max(...sorted.map(Math.abs));
  const whole = sorted.map((l) => Math.round(l / most * TOP) + 0);
  for (let i = whole.length >> 1; i < whole.length; i++) {
    if (i > 0 && whole[i]! <= whole[i - 1]!) whole[i] = Math.min(whole[i - 1]! + 1, TOP);
  }
  for (let i = whole.length - 2; i >= 0; i--) {
    if (whole[i]! >= whole[i + 1]!) whole[i] = whole[i + 1]! - 1;
  }
  return whole;
}
