/**
 * Error feedback: codes of one row that keep (w - w') H (w - w')' small, where rounding to the nearest level would keep
 * each weight's own error small. Three steps over the blocks of H, which do not depend on one another:
 * GPTQ (arXiv 2210.17323), which makes up for each column's error in those still to be rounded; scales of least error
 * for the codes; and coordinate descent, which takes every single code's best change.
 */
import { roundToHalf } from "./half.ts";
import type { Grid } from "./grid.ts";
import type { Hessian } from "./moments.ts";

const ROUNDS = 2;
const SWEEPS = 2;

/** Rounds rows of one matrix. Owns scratch of a few rows. */
export class Feedback {
  readonly #work: Float64Array;
  /** w' of the row, and H (w - w'). */
  readonly #rounded: Float64Array;
  readonly #gradient: Float64Array;

  /**
   * @param group columns a scale, 0 for the whole row
   * @param rounds of scales-then-codes after the first pass; each can only lower the error
   */
  constructor(
    readonly hessian: Hessian,
    readonly grid: Grid,
    readonly cols: number,
    readonly group: number,
    readonly rounds = ROUNDS,
  ) {
    this.#work = new Float64Array(hessian.block);
    this.#rounded = new Float64Array(cols);
    this.#gradient = new Float64Array(hessian.block);
  }

  /**
   * Codes of a row, and better scales for them.
   *
   * @param weights float64 [cols]
   * @param scales f16 values as numbers [groups], replaced
   * @param codes [cols], overwritten
   */
  round(weights: Float64Array, scales: Float64Array, codes: Uint8Array): void {
    this.#eachBlock((b, from, n) => this.#gptq(b, from, n, weights, scales, codes));
    for (let round = 0; round < this.rounds; round++) {
      this.#fitScales(weights, scales, codes);
      this.#eachBlock((b, from, n) => this.#descend(b, from, n, weights, scales, codes));
    }
  }

  #eachBlock(run: (b: number, from: number, n: number) => void): void {
    const { block } = this.hessian;
    for (let b = 0, from = 0; from < this.cols; b++, from += block) {
      run(b, from, Math.min(block, this.cols - from));
    }
  }

  #scaleAt(scales: Float64Array, col: number): number {
    return scales[this.group === 0 ? 0 : Math.floor(col / this.group)]!;
  }

  #gptq(
    b: number,
    from: number,
    n: number,
    weights: Float64Array,
    scales: Float64Array,
    codes: Uint8Array,
  ): void {
    const { order, upper } = this.hessian.factors[b]!, { levels } = this.grid;
    const w = this.#work;
    for (let j = 0; j < n; j++) w[j] = weights[from + order[j]!]!;
    for (let j = 0; j < n; j++) {
      const col = from + order[j]!, scale = this.#scaleAt(scales, col);
      const c = scale === 0 ? 0 : this.grid.code(w[j]! / scale);
      codes[col] = c;
      const row = j * n, error = (w[j]! - scale * levels[c]!) / upper[row + j]!;
      if (error === 0) continue;
      for (let k = j + 1; k < n; k++) w[k]! -= error * upper[row + k]!;
    }
  }

  /** The scales of least error for the codes: with one scale a row over all blocks, else block by block. */
  #fitScales(weights: Float64Array, scales: Float64Array, codes: Uint8Array): void {
    const whole = { dot: 0, norm: 0 };
    this.#eachBlock((b, from, n) => {
      const h = this.hessian.blocks[b]!, span = this.group || n;
      const count = Math.ceil(n / span);
      const q = Float64Array.from({ length: n }, (_, i) => this.grid.levels[codes[from + i]!]!);
      const w = weights.subarray(from, from + n);
      const gram = new Float64Array(count * count), right = new Float64Array(count);
      for (let i = 0; i < n; i++) {
        const g = Math.floor(i / span), row = i * n;
        let dot = 0;
        for (let j = 0; j < n; j++) dot += h[row + j]! * w[j]!;
        right[g]! += q[i]! * dot;
        for (let other = 0; other < count; other++) {
          let sum = 0;
          for (let j = other * span, end = Math.min(j + span, n); j < end; j++) {
            sum += h[row + j]! * q[j]!;
          }
          gram[g * count + other]! += q[i]! * sum;
        }
      }
      if (this.group === 0) {
        whole.dot += right[0]!;
        whole.norm += gram[0]!;
        return;
      }
      const solved = solve(gram, right, count);
      const first = from / this.group;
      for (let g = 0; g < count; g++) take(scales, first + g, solved?.[g]);
    });
    if (this.group === 0) take(scales, 0, whole.dot / whole.norm);
  }

  #descend(
    b: number,
    from: number,
    n: number,
    weights: Float64Array,
    scales: Float64Array,
    codes: Uint8Array,
  ): void {
    const h = this.hessian.blocks[b]!, { levels } = this.grid;
    const { order } = this.hessian.factors[b]!;
    const rounded = this.#rounded, gradient = this.#gradient;
    for (let i = 0; i < n; i++) {
      rounded[i] = this.#scaleAt(scales, from + i) * levels[codes[from + i]!]!;
    }
    for (let i = 0; i < n; i++) {
      let sum = 0;
      for (let j = 0; j < n; j++) sum += h[i * n + j]! * (weights[from + j]! - rounded[j]!);
      gradient[i] = sum;
    }
    for (let sweep = 0; sweep < SWEEPS; sweep++) {
      let changed = 0;
      for (let o = 0; o < n; o++) {
        const i = order[o]!, row = i * n, scale = this.#scaleAt(scales, from + i);
        if (scale === 0) continue;
        const c = this.grid.code((rounded[i]! + gradient[i]! / h[row + i]!) / scale);
        if (c === codes[from + i]) continue;
        const next = scale * levels[c]!, step = next - rounded[i]!;
        codes[from + i] = c;
        rounded[i] = next;
        for (let j = 0; j < n; j++) gradient[j]! -= step * h[row + j]!;
        changed++;
      }
      if (changed === 0) break;
    }
  }
}

/** A new scale, unless it would not be a number or would turn every weight around. */
function take(scales: Float64Array, at: number, value: number | undefined): void {
  if (value === undefined || !Number.isFinite(value)) return;
  if (value * scales[at]! > 0) scales[at] = roundToHalf(value);
}

/** Solves a small symmetric system by elimination with pivots; undefined where it is singular. */
function solve(a: Float64Array, right: Float64Array, n: number): Float64Array | undefined {
  const m = a.slice(), x = right.slice();
  for (let c = 0; c < n; c++) {
    let pivot = c;
    for (let r = c + 1; r < n; r++) {
      if (Math.abs(m[r * n + c]!) > Math.abs(m[pivot * n + c]!)) pivot = r;
    }
    if (!(Math.abs(m[pivot * n + c]!) > 0)) return undefined;
    for (let j = 0; j < n && pivot !== c; j++) {
      [m[c * n + j], m[pivot * n + j]] = [m[pivot * n + j]!, m[c * n + j]!];
    }
    if (pivot !== c) [x[c], x[pivot]] = [x[pivot]!, x[c]!];
    for (let r = 0; r < n; r++) {
      if (r === c) continue;
      const f = m[r * n + c]! / m[c * n + c]!;
      if (f === 0) continue;
      for (let j = c; j < n; j++) m[r * n + j]! -= f * m[c * n + j]!;
      x[r]! -= f * x[c]!;
    }
  }
  return x.map((v, i) => v / m[i * n + i]!);
}
