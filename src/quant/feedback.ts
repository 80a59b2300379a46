/**
 * Error feedback: codes of one row that keep (w - w') H (w - w')' small, where rounding to the nearest level would keep
 * each weight's own error small. Three steps over the blocks of H, which do not depend on one another:
 * GPTQ (arXiv 2210.17323), which makes up for each column's error in those still to be rounded; scales of least error
 * for the codes; and coordinate descent, which takes every single code's best change.
 */
import type { Grid } from "./grid.ts";
import { leastScales } from "./least_scales.ts";
import type { Hessian } from "./moments.ts";

const ROUNDS = 2;
const SWEEPS = 2;

/** Rounds rows of one matrix. Owns scratch of a few rows. */
export class Feedback {
  readonly #work: Float64Array;
  /** The row's levels, later w' of a block, and H (w - w'). */
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
    this.hessian.eachBlock((b, from, n) => this.#gptq(b, from, n, weights, scales, codes));
    const levels = this.#rounded;
    for (let round = 0; round < this.rounds; round++) {
      for (let i = 0; i < this.cols; i++) levels[i] = this.grid.levels[codes[i]!]!;
      leastScales(this.hessian, this.group, weights, levels, scales);
      this.hessian.eachBlock((b, from, n) => this.#descend(b, from, n, weights, scales, codes));
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
