/**
 * Second moments of a matrix's input, as quantizers weigh errors by them: H = E[x x'] in blocks along the diagonal.
 * The error of a row w' in place of w is (w - w') H (w - w')'.
 */
import { rotate } from "../base/rotation.ts";

/** Full matrices up to this width, blocks of 128 beyond, whose memory and time grow with the width alone. */
const FULL_UP_TO = 1024;
const BLOCK = 128;
/** Added to the diagonal, as a share of its mean: directions that no sample showed still count a little. */
const DAMPING = 0.01;
/** Less variance than this share of the second moment is what rounding leaves of equal inputs: nothing is known then. */
const LEAST_VARIANCE = 1e-9;

/** Columns of a Hessian block for inputs of this width. */
export function hessianBlock(cols: number): number {
  return cols <= FULL_UP_TO ? cols : BLOCK;
}

/** Sums over samples. `blocks[b]` is float64 [n, n] (upper triangle until `hessian`), n = block or what is left. */
export class Moments {
  readonly block: number;
  readonly blocks: Float64Array[] = [];
  readonly sums: Float64Array;
  /** Sum of the samples' weights. */
  total = 0;

  constructor(readonly cols: number) {
    this.block = hessianBlock(cols);
    this.sums = new Float64Array(cols);
    for (let at = 0; at < cols; at += this.block) {
      this.blocks.push(new Float64Array(Math.min(this.block, cols - at) ** 2));
    }
  }

  /** Adds `rows` samples x f32 [rows, cols], each with its weight. */
  add(x: Float32Array, rows: number, weights: ArrayLike<number>): void {
    const { cols, block, blocks, sums } = this, at = new Int32Array(block);
    for (let r = 0; r < rows; r++) {
      const row = x.subarray(r * cols, (r + 1) * cols), weight = weights[r]!;
      if (!(weight > 0)) continue;
      this.total += weight;
      for (let i = 0; i < cols; i++) sums[i]! += weight * row[i]!;
      for (let b = 0; b < blocks.length; b++) {
        const part = row.subarray(b * block, Math.min((b + 1) * block, cols));
        addOuter(blocks[b]!, part, weight, at);
      }
    }
  }

  /**
   * The same of rotated samples, without another look at them, where one block holds all columns: rotated samples have
   * no zeros, which a relu leaves plenty of.
   */
  rotated(): Moments {
    const { cols, block } = this, out = new Moments(cols);
    if (block < cols) {
      throw new RangeError("blocks that a rotation mixes must be rotated as samples");
    }
    out.total = this.total;
    out.sums.set(this.sums);
    rotate(out.sums, 0, cols);
    const h = out.blocks[0]!, columns = new Float64Array(cols * cols);
    h.set(this.blocks[0]!);
    for (let i = 0; i < cols; i++) for (let j = 0; j < i; j++) h[i * cols + j] = h[j * cols + i]!;
    // R H R': the rows of H rotated, then the rows of what that is the other way around.
    for (let i = 0; i < cols; i++) rotate(h, i * cols, cols);
    for (let i = 0; i < cols; i++) {
      for (let j = 0; j < cols; j++) columns[j * cols + i] = h[i * cols + j]!;
    }
    for (let i = 0; i < cols; i++) rotate(columns, i * cols, cols);
    h.set(columns);
    return out;
  }

  /** float64 [cols]: E[x]. */
  mean(): Float64Array {
    return this.sums.map((s) => this.total === 0 ? 0 : s / this.total);
  }
}

/** upper(sum) += weight * x x'. Behind a relu most of x is zero: `at` is scratch for where it is not. */
function addOuter(sum: Float64Array, x: Float32Array, weight: number, at: Int32Array): void {
  const n = x.length;
  let live = 0;
  for (let i = 0; i < n; i++) if (x[i] !== 0) at[live++] = i;
  for (let k = 0; k < live; k++) {
    const xi = x[at[k]!]! * weight, row = at[k]! * n;
    for (let l = k; l < live; l++) sum[row + at[l]!]! += xi * x[at[l]!]!;
  }
}

/** E[x x'], less E[x] E[x]' where `centred` (for a matrix with a bias, which corrects what the mean's error does); damped. */
export class Hessian {
  readonly block: number;
  readonly blocks: readonly Float64Array[];
  /** float64 [cols]: the diagonal. */
  readonly importance: Float64Array;
  #factors: Factor[] | undefined;

  constructor(moments: Moments, centred: boolean) {
    this.block = moments.block;
    this.importance = new Float64Array(moments.cols);
    this.blocks = moments.blocks.map((_, b) => {
      const own = average(moments, b, centred);
      const n = Math.sqrt(own.length);
      let trace = 0, whole = 0;
      for (let i = 0; i < n; i++) {
        trace += own[i * n + i]!;
        whole += moments.blocks[b]![i * n + i]! / (moments.total || 1);
      }
      const isKnown = trace > LEAST_VARIANCE * whole;
      if (!isKnown) own.fill(0);
      const damp = isKnown ? DAMPING * trace / n : 1;
      for (let i = 0; i < n; i++) {
        own[i * n + i]! += damp;
        this.importance[b * this.block + i] = own[i * n + i]!;
      }
      return own;
    });
  }

  /** Each block: its number, its first column and how many it has. */
  eachBlock(run: (b: number, from: number, n: number) => void): void {
    const cols = this.importance.length;
    for (let b = 0, from = 0; from < cols; b++, from += this.block) {
      run(b, from, Math.min(this.block, cols - from));
    }
  }

  /** For error feedback; made on first use. */
  get factors(): readonly Factor[] {
    return this.#factors ??= this.blocks.map(factorOf);
  }
}

/** One block's mean, both triangles. */
function average(m: Moments, b: number, centred: boolean): Float64Array {
  const sum = m.blocks[b]!, n = Math.sqrt(sum.length), out = new Float64Array(sum.length);
  if (m.total === 0) return out;
  const first = b * m.block;
  for (let i = 0; i < n; i++) {
    for (let j = i; j < n; j++) {
      let value = sum[i * n + j]! / m.total;
      if (centred) value -= m.sums[first + i]! * m.sums[first + j]! / m.total ** 2;
      out[i * n + j] = out[j * n + i] = value;
    }
  }
  return out;
}

/** Columns in the order in which they are rounded, and the upper factor U of H^-1 = U' U in that order. */
export interface Factor {
  readonly order: Int32Array;
  readonly upper: Float64Array;
}

/** Columns of most weight first: their errors have the most others left to make up for them. */
function factorOf(h: Float64Array): Factor {
  const n = Math.sqrt(h.length);
  const order = Int32Array.from({ length: n }, (_, i) => i);
  order.sort((a, b) => h[b * n + b]! - h[a * n + a]! || a - b);
  const sorted = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) sorted[i * n + j] = h[order[i]! * n + order[j]!]!;
  }
  return { order, upper: inverseUpper(sorted, n) };
}

/** The upper triangular U with H^-1 = U' U: the inverse of the upper triangular R with H = R R'. */
export function inverseUpper(h: Float64Array, n: number): Float64Array {
  const r = new Float64Array(n * n);
  // R from the last column to the first: H[i][j] = sum over k >= max(i, j) of R[i][k] R[j][k].
  for (let j = n - 1; j >= 0; j--) {
    let d = h[j * n + j]!;
    for (let k = j + 1; k < n; k++) d -= r[j * n + k]! ** 2;
    if (!(d > 0)) throw new RangeError("cannot factor a Hessian: it must be positive definite");
    const root = Math.sqrt(d);
    r[j * n + j] = root;
    const rowJ = r.subarray(j * n + j + 1, (j + 1) * n);
    for (let i = 0; i < j; i++) {
      const rowI = r.subarray(i * n + j + 1, (i + 1) * n);
      let sum = h[i * n + j]!;
      for (let k = 0; k < rowI.length; k++) sum -= rowI[k]! * rowJ[k]!;
      r[i * n + j] = sum / root;
    }
  }
  return invertUpper(r, n);
}

/** The inverse of an upper triangular matrix. */
function invertUpper(r: Float64Array, n: number): Float64Array {
  const out = new Float64Array(n * n);
  for (let i = n - 1; i >= 0; i--) {
    const at = i * n, inverse = 1 / r[at + i]!;
    out[at + i] = inverse;
    for (let k = i + 1; k < n; k++) {
      const f = -r[at + k]! * inverse;
      if (f === 0) continue;
      const row = k * n;
      for (let j = k; j < n; j++) out[at + j]! += f * out[row + j]!;
    }
  }
  return out;
}
