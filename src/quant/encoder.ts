/** Rows of f32 weights to rows of bytes: the one writer of the matrix layout. */
import { MoqeError } from "../base/errors.ts";
import { type MatrixLayout, matrixLayout } from "../base/layout.ts";
import { rotate } from "../base/rotation.ts";
import { packRow } from "./codes.ts";
import { Feedback } from "./feedback.ts";
import { fitScale, Grid } from "./grid.ts";
import { F16_OVERFLOW, roundToHalf, toHalfBits } from "./half.ts";
import type { Hessian } from "./moments.ts";
import { MXFP4_GROUP, mxfp4Group } from "./mxfp4.ts";
import type { Recipe } from "./quantizers.ts";
import { absMax, scaleOfEvenLevels, scaleOfFourLevels } from "./scales.ts";
import { TrellisRows } from "./trellis.ts";

/**
 * Encodes one matrix row by row, in any chunks; rows do not depend on one another, but for a trellis, whose rows come in
 * order, and many at once. Owns scratch of a few rows, of a trellis of a call's rows in float64 and of some hundreds thrice,
 * never the matrix. `name` is the tensor's, for errors.
 */
export class MatrixEncoder {
  readonly layout: MatrixLayout;
  /** Codes of the row at hand, one a byte; the padding stays 0. */
  readonly #codes: Uint8Array;
  readonly #codes32: Uint32Array;
  readonly #sorted: Float32Array;
  /** Sub-arrays of #sorted by length: a full group and the row's last, shorter one. */
  readonly #sortedOf = new Map<number, Float32Array>();

  /** Levels, where the choice is by them: codebooks, 3 bits, rotated or calibrated weights. */
  readonly #grid: Grid | undefined;
  readonly #feedback: Feedback | undefined;
  readonly #trellis: TrellisRows | undefined;
  /** The row at hand, rotated if it is to be, and its scales. */
  readonly #row: Float64Array;
  readonly #rowScales: Float64Array;

  /** @param hessian second moments of the input, in the basis of the codes; by them errors are weighed */
  constructor(
    readonly name: string,
    rows: number,
    cols: number,
    readonly recipe: Recipe,
    readonly hessian?: Hessian,
  ) {
    const { format, quantizer, rounding } = recipe;
    this.layout = matrixLayout(rows, cols, format);
    const quantized = format.bits < 16;
    const byLevels = quantizer === "lloyd" || quantizer === "moqe-log" ||
      quantizer === "symmetric" && (format.bits === 3 || format.rotated || hessian !== undefined);
    if (byLevels) this.#grid = new Grid(format, quantizer === "moqe-log" ? "geometric" : "middle");
    if (rounding === "gptq" && hessian === undefined) {
      throw new RangeError(`cannot encode ${name}: gptq needs moments`);
    }
    if (quantizer === "trellis") {
      this.#trellis = new TrellisRows(this.layout, format, hessian, rounding === "gptq");
    } else if (rounding === "gptq") {
      this.#feedback = new Feedback(hessian!, this.#grid!, cols, format.group);
    }
    this.#row = new Float64Array(byLevels ? cols : 0);
    this.#rowScales = new Float64Array(byLevels ? this.layout.groups : 0);
    this.#codes = new Uint8Array(quantized ? this.layout.colsPadded : 0);
    this.#codes32 = new Uint32Array(this.#codes.buffer);
    this.#sorted = new Float32Array(quantized ? recipe.format.group || cols : 0);
  }

  /**
   * Encodes rowCount rows.
   *
   * @param weights f32 [rowCount, cols]
   * @param codes rowCount * rowBytes bytes, overwritten; starts at a multiple of 4 of its buffer
   * @param scales f16 [rowCount, groups], overwritten; empty from 16 bits
   * @throws MoqeError `corrupt` for NaN or Inf, `unsupported` for a weight or scale beyond f16's range
   */
  encodeRows(
    weights: Float32Array,
    rowCount: number,
    codes: Uint8Array,
    scales: Uint16Array,
  ): void {
    const { cols, rowBytes, groups } = this.layout;
    const { bits } = this.recipe.format;
    this.#refuseNonFinite(weights, rowCount * cols);
    if (bits === 32 || bits === 16) return this.#copyFloats(weights, rowCount, codes);
    const words = new Uint32Array(codes.buffer, codes.byteOffset, rowCount * rowBytes / 4);
    if (this.#trellis) return this.#encodeTrellis(this.#trellis, weights, rowCount, words, scales);
    for (let r = 0; r < rowCount; r++) {
      if (this.#grid !== undefined) {
        this.#encodeByLevels(this.#grid, weights, r * cols, scales, r * groups);
      } else if (this.recipe.quantizer === "mxfp4") {
        this.#encodeMxfp4(weights.subarray(r * cols, (r + 1) * cols), scales, r * groups);
      } else this.#encodeRow(weights, r * cols, scales, r * groups);
      packRow(this.#codes32, words.subarray(r * rowBytes / 4, (r + 1) * rowBytes / 4), bits);
    }
  }

  /** Codes of one row into #codes, its scales to scales[scaleAt...]. */
  #encodeRow(weights: Float32Array, at: number, scales: Uint16Array, scaleAt: number): void {
    const { cols, groups } = this.layout;
    const { bits } = this.recipe.format;
    const span = this.recipe.format.group || cols;
    for (let g = 0, from = 0; g < groups; g++, from += span) {
      const to = Math.min(cols, from + span);
      // A group may lie in the padding whole (65 columns at group 32 are padded to 128).
      const exact = from < to ? this.#scale(weights, at + from, at + to) : 0;
      // Codes are chosen by the scale that kernels will see, so the rounding's error is not made twice.
      const scale = roundToHalf(exact);
      if (!Number.isFinite(scale)) throw this.#beyondHalf("a scale", exact);
      scales[scaleAt + g] = toHalfBits(scale);
      if (from >= to) continue;
      if (scale === 0) this.#codes.fill(0, from, to);
      else if (this.recipe.quantizer === "moqe-linear-trunc") {
        this.#truncated(weights, at, from, to, scale);
      } else if (bits === 2) this.#fourLevels(weights, at, from, to, scale);
      else this.#evenLevels(weights, at, from, to, scale);
    }
  }

  /** As #encodeRow, of weights that must have been MXFP4. */
  #encodeMxfp4(row: Float32Array, scales: Uint16Array, scaleAt: number): void {
    const { groups } = this.layout;
    for (let g = 0, from = 0; g < groups; g++, from += MXFP4_GROUP) {
      const group = row.subarray(from, from + MXFP4_GROUP);
      const exact = mxfp4Group(group, this.#codes.subarray(from)), scale = roundToHalf(exact);
      if (scale !== exact) throw this.#notMxfp4(group);
      scales[scaleAt + g] = toHalfBits(scale);
    }
  }

  /** As #encodeRow for a grid: rotation first, scales weighed by importance, feedback last. */
  #encodeByLevels(
    grid: Grid,
    weights: Float32Array,
    at: number,
    scales: Uint16Array,
    scaleAt: number,
  ): void {
    const { cols, groups } = this.layout, { format } = this.recipe;
    const row = this.#row, rowScales = this.#rowScales, codes = this.#codes;
    row.set(weights.subarray(at, at + cols));
    if (format.rotated) rotate(row, 0, cols);
    const importance = this.recipe.quantizer === "moqe-log" ? undefined : this.hessian?.importance;
    const span = format.group || cols;
    for (let g = 0, from = 0; g < groups; g++, from += span) {
      const to = Math.min(cols, from + span);
      const exact = from < to ? fitScale(row, 0, from, to, grid, importance) : 0;
      const scale = rowScales[g] = roundToHalf(exact);
      if (!Number.isFinite(scale)) throw this.#beyondHalf("a scale", exact);
      for (let i = from; i < to; i++) codes[i] = scale === 0 ? 0 : grid.code(row[i]! / scale);
    }
    this.#feedback?.round(row, rowScales, codes);
    for (let g = 0; g < groups; g++) scales[scaleAt + g] = toHalfBits(rowScales[g]!);
  }

  /** All rows at once: a column's codes are found together. */
  #encodeTrellis(
    trellis: TrellisRows,
    weights: Float32Array,
    rowCount: number,
    words: Uint32Array,
    scales: Uint16Array,
  ): void {
    const { cols, colsPadded, groups } = this.layout, { format } = this.recipe;
    const wanted = Float64Array.from(weights.subarray(0, rowCount * cols));
    for (let r = 0; r < rowCount && format.rotated; r++) rotate(wanted, r * cols, cols);
    const codes = new Uint8Array(rowCount * colsPadded);
    const found = new Float64Array(rowCount * groups);
    trellis.encode(wanted, rowCount, codes, found);
    const step = words.length / rowCount;
    for (let r = 0; r < rowCount; r++) {
      const row = new Uint32Array(codes.buffer, r * colsPadded, colsPadded / 4);
      packRow(row, words.subarray(r * step, (r + 1) * step), 2);
    }
    for (let i = 0; i < found.length; i++) {
      if (!Number.isFinite(found[i]!)) throw this.#beyondHalf("a scale", found[i]!);
      scales[i] = toHalfBits(found[i]!);
    }
  }

  #scale(weights: Float32Array, from: number, to: number): number {
    const { bits } = this.recipe.format;
    if (this.recipe.quantizer !== "symmetric") {
      return 2 * absMax(weights, from, to) / (2 ** bits - 1);
    }
    if (bits !== 2) return scaleOfEvenLevels(weights, from, to, bits as 4 | 8);
    const n = to - from;
    let sorted = this.#sortedOf.get(n);
    if (sorted === undefined) {
      sorted = this.#sorted.subarray(0, n);
      this.#sortedOf.set(n, sorted);
    }
    return scaleOfFourLevels(weights, from, sorted);
  }

  /** Nearest of {-1.5, -0.5, 0.5, 1.5}: adding 2 makes truncation the choice, and clips below at 0. */
  #fourLevels(weights: Float32Array, at: number, from: number, to: number, scale: number): void {
    const codes = this.#codes, inverse = 1 / scale;
    for (let i = from; i < to; i++) {
      const c = (weights[at + i]! * inverse + 2) | 0;
      codes[i] = c < 0 ? 0 : c > 3 ? 3 : c;
    }
  }

  /** Nearest of the evenly spaced levels around `zero`. */
  #evenLevels(weights: Float32Array, at: number, from: number, to: number, scale: number): void {
    const { bits, zero } = this.recipe.format;
    const codes = this.#codes, inverse = 1 / scale, top = 2 ** bits - 1, half = zero + 0.5;
    for (let i = from; i < to; i++) {
      const c = Math.floor(weights[at + i]! * inverse + half);
      codes[i] = c < 0 ? 0 : c > top ? top : c;
    }
  }

  /** int(w / s), toward zero. The scale's rounding may lift |w| / s a little over its bound, which stays inside. */
  #truncated(weights: Float32Array, at: number, from: number, to: number, scale: number): void {
    const codes = this.#codes, inverse = 1 / scale;
    const { zero, bits } = this.recipe.format;
    const most = 2 ** (bits - 1) - 1;
    for (let i = from; i < to; i++) {
      const q = (weights[at + i]! * inverse) | 0;
      codes[i] = zero + (q < -most ? -most : q > most ? most : q);
    }
  }

  /** f16 and f32 rows, padded with zeros to whole units. */
  #copyFloats(weights: Float32Array, rowCount: number, bytes: Uint8Array): void {
    const { cols, colsPadded } = this.layout;
    const f32 = this.recipe.format.bits === 32;
    const size = rowCount * colsPadded;
    if (!f32) this.#refuseBeyondHalf(weights, rowCount * cols);
    const out = f32
      ? new Float32Array(bytes.buffer, bytes.byteOffset, size)
      : new Float16Array(bytes.buffer, bytes.byteOffset, size);
    for (let r = 0; r < rowCount; r++) {
      out.set(weights.subarray(r * cols, (r + 1) * cols), r * colsPadded);
      out.fill(0, r * colsPadded + cols, (r + 1) * colsPadded);
    }
  }

  #refuseNonFinite(weights: Float32Array, count: number): void {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += weights[i]! * 0;
    if (sum === 0) return;
    const at = weights.subarray(0, count).findIndex((w) => !Number.isFinite(w));
    throw new MoqeError("corrupt", {
      action: `quantize ${this.name}`,
      rule: "every weight must be a finite number",
      observed: String(weights[at]),
      remedy: "the checkpoint is broken there: save it again",
    });
  }

  #refuseBeyondHalf(weights: Float32Array, count: number): void {
    for (let i = 0; i < count; i++) {
      if (Math.abs(weights[i]!) >= F16_OVERFLOW) throw this.#beyondHalf("a weight", weights[i]!);
    }
  }

  #notMxfp4(group: Float32Array): MoqeError {
    return new MoqeError("unsupported", {
      action: `keep ${this.name} as MXFP4`,
      rule: "32 weights must be levels of MXFP4 times one power of two from 2^-24 to 2^15",
      observed: `weights up to ${absMax(group, 0, group.length)}`,
      remedy:
        "give experts another width: --experts 4bit, or of one layer --part decoder.N.experts=4bit",
    });
  }

  #beyondHalf(what: string, value: number): MoqeError {
    return new MoqeError("unsupported", {
      action: `write ${this.name} as ${this.recipe.format.bits}-bit weights`,
      rule: `${what} is beyond f16's range of 65504 and would become Inf`,
      observed: String(value),
      remedy: "keep this part at 32 bits, or at 8 bits, whose scale is 1/128 of the largest weight",
    });
  }
}
