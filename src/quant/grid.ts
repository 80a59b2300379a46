/** The levels that a format's codes stand for, before the scale, and the code nearest to a value. */
import type { MatrixFormat } from "../base/layout.ts";

/** 2^bits levels in order, evenly spaced or a codebook. */
export class Grid {
  readonly levels: Float64Array;
  readonly symmetric: boolean;
  readonly #even: boolean;
  readonly #half: number;
  readonly #top: number;
  /** Between level i and i + 1 of a codebook. */
  readonly #bounds: Float64Array;

  /** `bounds` "geometric": codes change at the geometric mean of two levels, as rounding of a logarithm does. */
  constructor(format: MatrixFormat, bounds: "middle" | "geometric" = "middle") {
    const { bits, zero, levels } = format;
    this.#top = 2 ** bits - 1;
    this.#even = levels === undefined;
    this.#half = zero + 0.5;
    this.levels = Float64Array.from({ length: this.#top + 1 }, (_, c) => levels?.[c] ?? c - zero);
    this.symmetric = this.levels.every((l, c) => l === -this.levels[this.#top - c]!);
    this.#bounds = Float64Array.from({ length: this.#top }, (_, i) => {
      const a = this.levels[i]!, b = this.levels[i + 1]!;
      if (bounds === "middle" || a * b <= 0) return (a + b) / 2;
      return Math.sign(a) * Math.sqrt(a * b);
    });
  }

  /** The code of a value in units of the scale. */
  code(value: number): number {
    if (this.#even) {
      const c = Math.floor(value + this.#half);
      return c < 0 ? 0 : c > this.#top ? this.#top : c;
    }
    const bounds = this.#bounds, n = bounds.length;
    let c = 0;
    while (c < n && value >= bounds[c]!) c++;
    return c;
  }
}

/** Shares of the full range at which the search starts: at 2 bits the best range is a third of the largest weight's. */
const STARTS = [1, 0.92, 0.84, 0.76, 0.68, 0.6, 0.52, 0.44, 0.36, 0.28];
const REFINEMENTS = 4;

/**
 * A scale of nearly least error, sum of importance * (weight - scale * level)^2, over weights[from, to): a coarse
 * search over clipped ranges, then rounds of codes-then-scale from the best. Without a positive twin of the lowest
 * level, the scale has the sign that gives this level to the largest weight.
 *
 * @param importance by column, from the row's start `row` on; undefined where all count alike
 */
export function fitScale(
  weights: Float32Array | Float64Array,
  row: number,
  from: number,
  to: number,
  grid: Grid,
  importance: Float64Array | undefined,
): number {
  let extreme = 0;
  for (let i = row + from; i < row + to; i++) {
    if (Math.abs(weights[i]!) > Math.abs(extreme)) extreme = weights[i]!;
  }
  if (extreme === 0) return 0;
  const { levels } = grid;
  const full = grid.symmetric
    ? Math.abs(extreme) / levels[levels.length - 1]!
    : extreme / levels[0]!;
  let scale = full, best = -1;
  const tried = (candidate: number): boolean => {
    const inverse = 1 / candidate;
    let dot = 0, norm = 0;
    for (let i = from; i < to; i++) {
      const w = weights[row + i]!, level = levels[grid.code(w * inverse)]!;
      const h = importance === undefined ? level : level * importance[i]!;
      dot += w * h;
      norm += level * h;
    }
    if (norm === 0 || dot * dot / norm <= best) return false;
    best = dot * dot / norm;
    scale = dot / norm;
    return true;
  };
  for (const share of STARTS) tried(full * share);
  for (let round = 0; round < REFINEMENTS && tried(scale); round++);
  return scale;
}
