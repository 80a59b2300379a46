/**
 * What a layer's weights become when its input is no longer what it was: the layer before it has been rounded, and part
 * of what that changed can be told from the changed input itself. With h the input as it was and g as it is, W h is best
 * computed from g by W + W E[(h - g) g'] E[g g']^-1 (least squares, as in arXiv 2504.02692). It takes the whole matrix
 * of moments: 128 columns of thousands tell little of what changed in them.
 */
import type { Hessian } from "./moments.ts";

/** Samples of one width: f32 [count, cols] each, and their weights. */
export interface Change {
  readonly was: Float32Array;
  readonly is: Float32Array;
  readonly weights: Float64Array;
}

/** Owns a matrix as large as the Hessian, and scratch of a row. */
export class Compensation {
  readonly #cross: Float64Array;
  readonly #right: Float64Array;
  readonly #turned: Float64Array;
  /** How much of it is done: samples that are not many times as many as columns tell chance as if it were law. */
  readonly #share: number;

  /** @param hessian of `is`, in one block, centred where `centred` is said */
  constructor(readonly hessian: Hessian, change: Change, centred: boolean) {
    const cols = hessian.importance.length;
    if (hessian.block < cols) {
      throw new RangeError("a compensation needs the moments of all columns");
    }
    this.#share = Math.max(0, 1 - cols / effectiveCount(change.weights));
    this.#cross = this.#share === 0 ? new Float64Array(0) : cross(change, cols, centred);
    this.#right = new Float64Array(cols);
    this.#turned = new Float64Array(cols);
  }

  /** A row of W f32 [cols] to the one to be rounded in its place, into `out` f32 [cols]. */
  apply(row: Float32Array, out: Float32Array): void {
    out.set(row);
    if (this.#share === 0) return;
    const n = row.length, { order, upper } = this.hessian.factors[0]!;
    const right = this.#right.fill(0), turned = this.#turned.fill(0);
    for (let i = 0; i < n; i++) {
      const w = row[i]!, at = i * n;
      for (let j = 0; j < n; j++) right[j]! += w * this.#cross[at + j]!;
    }
    // right H^-1 = (right U') U, columns in the factor's order.
    for (let i = 0; i < n; i++) {
      let sum = 0;
      for (let j = i, at = i * n; j < n; j++) sum += upper[at + j]! * right[order[j]!]!;
      for (let j = i, at = i * n; j < n; j++) turned[j]! += sum * upper[at + j]!;
    }
    for (let j = 0; j < n; j++) out[order[j]!]! += this.#share * turned[j]!;
  }
}

/** As many samples of equal weight would tell as much: (sum w)^2 / sum w^2. */
function effectiveCount(weights: Float64Array): number {
  let sum = 0, squares = 0;
  for (const w of weights) {
    sum += w;
    squares += w * w;
  }
  return squares === 0 ? 0 : sum * sum / squares;
}

/** E[(was - is) is'], float64 [cols, cols]; less the means' product where `centred`. */
function cross({ was, is, weights }: Change, cols: number, centred: boolean): Float64Array {
  const out = new Float64Array(cols * cols), total = weights.reduce((a, b) => a + b, 0);
  const gone = new Float64Array(cols), mean = new Float64Array(cols), live = new Int32Array(cols);
  for (let r = 0; r < weights.length; r++) {
    const weight = weights[r]! / total, base = r * cols;
    // Behind a relu most are zero: only the others are gone through.
    let count = 0;
    for (let j = 0; j < cols; j++) if (is[base + j] !== 0) live[count++] = j;
    for (let k = 0; k < count; k++) mean[live[k]!]! += weight * is[base + live[k]!]!;
    for (let i = 0; i < cols; i++) {
      const off = weight * (was[base + i]! - is[base + i]!), row = i * cols;
      if (off === 0) continue;
      gone[i]! += off;
      for (let k = 0; k < count; k++) out[row + live[k]!]! += off * is[base + live[k]!]!;
    }
  }
  for (let i = 0; centred && i < cols; i++) {
    for (let j = 0; j < cols; j++) out[i * cols + j]! -= gone[i]! * mean[j]!;
  }
  return out;
}
