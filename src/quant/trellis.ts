/**
 * Trellis-coded rows (src/base/trellis.ts): a column's codes are found together, by Viterbi's algorithm; with error
 * feedback one column after another as in feedback.ts, whose three steps these are for many rows at once.
 */
import type { MatrixFormat, MatrixLayout } from "../base/layout.ts";
import { TRELLIS_LEVELS, TRELLIS_UNIT } from "../base/trellis.ts";
import { roundToHalf } from "./half.ts";
import { leastScales } from "./least_scales.ts";
import type { Hessian } from "./moments.ts";
import { readExact } from "./trellis_exact.ts";
import { levelIndex, nextState, Viterbi } from "./viterbi.ts";

/**
 * Rows whose codes are found together; those of the next block begin where these end, and so does a call's: of 128 rows
 * each they err by 1.4 % more, of 64 by 4.
 */
const BLOCK_ROWS = 256;
/** Rounds of scales-then-codes after the first codes; where errors are fed on, more than one took nothing off. */
const ROUNDS = 2;
const FED_ROUNDS = 1;

/** Encodes a matrix's rows in order, in any blocks. Owns float64 scratch of three times BLOCK_ROWS rows. */
export class TrellisRows {
  /** The codes of the three rows above, by column. */
  readonly #states: Uint8Array;
  readonly #viterbi = new Viterbi(BLOCK_ROWS);

  /**
   * @param hessian second moments of the input, in the basis of the codes
   * @param feedback whether errors are fed on, which needs the moments
   */
  constructor(
    readonly layout: MatrixLayout,
    readonly format: MatrixFormat,
    readonly hessian: Hessian | undefined,
    readonly feedback: boolean,
  ) {
    this.#states = new Uint8Array(layout.cols);
  }

  /**
   * Codes and scales of the next rows; without moments the very ones, where the weights are what a trellis has written.
   *
   * @param weights float64 [rowCount, cols], in the basis of the codes
   * @param codes [rowCount, colsPadded], one a byte, overwritten, zeros in the padding
   * @param scales f16 values as numbers [rowCount, groups], overwritten
   */
  encode(weights: Float64Array, rowCount: number, codes: Uint8Array, scales: Float64Array): void {
    const { cols, colsPadded, groups } = this.layout;
    if (this.hessian === undefined) {
      const before = this.#states.slice();
      const { layout, format } = this;
      if (readExact(layout, format, weights, this.#states, codes, scales)) return;
      this.#states.set(before);
      codes.fill(0);
      scales.fill(0);
    }
    for (let from = 0; from < rowCount; from += BLOCK_ROWS) {
      const rows = Math.min(BLOCK_ROWS, rowCount - from);
      const block = new Block(
        this,
        rows,
        weights.subarray(from * cols, (from + rows) * cols),
        codes.subarray(from * colsPadded, (from + rows) * colsPadded),
        scales.subarray(from * groups, (from + rows) * groups),
        this.#states,
        this.#viterbi,
      );
      block.encode();
      this.#advance(block);
    }
  }

  #advance({ rows, codes }: Block): void {
    const { cols, colsPadded } = this.layout;
    for (let c = 0; c < cols; c++) {
      let state = this.#states[c]!;
      for (let r = Math.max(0, rows - 3); r < rows; r++) {
        state = nextState(state, codes[r * colsPadded + c]!);
      }
      this.#states[c] = state;
    }
  }
}

/** Some rows of a matrix. By column: wanted weights, levels, and H (w - w'), float64 [cols, rows] each. */
class Block {
  readonly #wanted: Float64Array;
  readonly #levels: Float64Array;
  readonly #targets: Float64Array;
  readonly #scales: Float64Array;
  readonly #codes: Uint8Array;

  constructor(
    readonly owner: TrellisRows,
    readonly rows: number,
    readonly weights: Float64Array,
    readonly codes: Uint8Array,
    readonly scales: Float64Array,
    readonly states: Uint8Array,
    readonly viterbi: Viterbi,
  ) {
    const { cols } = owner.layout;
    this.#wanted = new Float64Array(cols * rows);
    this.#levels = new Float64Array(cols * rows);
    this.#targets = new Float64Array(cols * rows);
    this.#scales = new Float64Array(rows);
    this.#codes = new Uint8Array(rows);
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < cols; c++) this.#wanted[c * rows + r] = weights[r * cols + c]!;
    }
  }

  encode(): void {
    this.#firstScales();
    const { hessian, feedback } = this.owner;
    if (feedback) this.#gptq(hessian!);
    else this.#nearest();
    for (let round = 0; round < (feedback ? FED_ROUNDS : ROUNDS); round++) {
      this.#fitScales();
      if (feedback) this.#descend(hessian!);
      else this.#nearest();
    }
  }

  /** The standard deviation of each group, in levels. */
  #firstScales(): void {
    const { cols, groups } = this.owner.layout, span = this.owner.format.group || cols;
    for (let r = 0; r < this.rows; r++) {
      for (let g = 0; g < groups; g++) {
        const part = this.weights.subarray(
          r * cols + g * span,
          r * cols + Math.min(cols, (g + 1) * span),
        );
        const power = part.reduce((sum, w) => sum + w * w, 0);
        const scale = part.length === 0 ? 0 : Math.sqrt(power / part.length) / TRELLIS_UNIT;
        this.scales[r * groups + g] = roundToHalf(scale);
      }
    }
  }

  /** Column `col` gets the codes of least error towards `targets` float64 [rows], and its levels with them. */
  #encodeColumn(col: number, targets: Float64Array): void {
    const { rows, codes, owner: { layout: { colsPadded } } } = this;
    const levels = this.#levels, own = this.#codes;
    let state = this.states[col]!;
    this.viterbi.encode(targets, this.#scalesOf(col), rows, state, own);
    for (let r = 0; r < rows; r++) {
      const code = own[r]!;
      codes[r * colsPadded + col] = code;
      levels[col * rows + r] = TRELLIS_LEVELS[levelIndex(state, code)]!;
      state = nextState(state, code);
    }
  }

  #nearest(): void {
    const { rows, owner: { layout: { cols } } } = this;
    for (let c = 0; c < cols; c++) {
      this.#encodeColumn(c, this.#wanted.subarray(c * rows, (c + 1) * rows));
    }
  }

  /** As Feedback: what a column's codes change, those still to be encoded make up for. */
  #gptq(hessian: Hessian): void {
    const { rows } = this, left = this.#targets, error = new Float64Array(rows);
    left.set(this.#wanted);
    hessian.eachBlock((b, from, n) => {
      const { order, upper } = hessian.factors[b]!;
      for (let j = 0; j < n; j++) {
        const col = from + order[j]!, at = col * rows;
        this.#encodeColumn(col, left.subarray(at, at + rows));
        for (let r = 0; r < rows; r++) {
          error[r] = (left[at + r]! - this.#scales[r]! * this.#levels[at + r]!) / upper[j * n + j]!;
        }
        for (let k = j + 1; k < n; k++) {
          subtract(left, (from + order[k]!) * rows, error, upper[j * n + k]!);
        }
      }
    });
  }

  #fitScales(): void {
    const {
      rows,
      weights,
      scales,
      owner: { layout: { cols, groups }, format, hessian, feedback },
    } = this;
    const levels = new Float64Array(cols), span = format.group || cols;
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < cols; c++) levels[c] = this.#levels[c * rows + r]!;
      const row = weights.subarray(r * cols, (r + 1) * cols);
      const own = scales.subarray(r * groups, (r + 1) * groups);
      if (feedback) {
        leastScales(hessian!, format.group, row, levels, own);
        continue;
      }
      for (let g = 0; g * span < cols; g++) {
        let dot = 0, norm = 0;
        for (let c = g * span; c < Math.min(cols, (g + 1) * span); c++) {
          const level = levels[c]! * (hessian?.importance[c] ?? 1);
          dot += row[c]! * level;
          norm += levels[c]! * level;
        }
        if (dot > 0 && norm > 0) own[g] = roundToHalf(dot / norm);
      }
    }
  }

  /** As Feedback, once: each column's codes become the best ones while all others stay. */
  #descend(hessian: Hessian): void {
    const { rows } = this, gradient = this.#targets, target = new Float64Array(rows);
    const moved = new Float64Array(rows);
    hessian.eachBlock((b, from, n) => {
      const h = hessian.blocks[b]!, { order } = hessian.factors[b]!;
      this.#gradients(h, from, n);
      for (let k = 0; k < n; k++) {
        const i = order[k]!, at = (from + i) * rows;
        this.#weighed(from + i, moved);
        for (let r = 0; r < rows; r++) target[r] = moved[r]! + gradient[at + r]! / h[i * n + i]!;
        this.#encodeColumn(from + i, target);
        let changed = false;
        for (let r = 0; r < rows; r++) {
          moved[r] = this.#scales[r]! * this.#levels[at + r]! - moved[r]!;
          changed ||= moved[r] !== 0;
        }
        if (!changed) continue;
        for (let j = 0; j < n; j++) subtract(gradient, (from + j) * rows, moved, h[i * n + j]!);
      }
    });
  }

  /** The scales of a column's group float64 [rows], until the next call. */
  #scalesOf(col: number): Float64Array {
    const { rows, scales, owner: { layout: { groups }, format } } = this;
    const group = format.group === 0 ? 0 : Math.floor(col / format.group);
    for (let r = 0; r < rows; r++) this.#scales[r] = scales[r * groups + group]!;
    return this.#scales;
  }

  /** scale * level of a column, into `out` float64 [rows]. */
  #weighed(col: number, out: Float64Array): void {
    const { rows } = this, scales = this.#scalesOf(col);
    for (let r = 0; r < rows; r++) out[r] = scales[r]! * this.#levels[col * rows + r]!;
  }

  /** H (w - w') of the columns of a block. */
  #gradients(h: Float64Array, from: number, n: number): void {
    const { rows } = this, gradient = this.#targets, off = new Float64Array(rows);
    gradient.fill(0, from * rows, (from + n) * rows);
    for (let j = 0; j < n; j++) {
      const at = (from + j) * rows;
      this.#weighed(from + j, off);
      for (let r = 0; r < rows; r++) off[r] = off[r]! - this.#wanted[at + r]!;
      for (let i = 0; i < n; i++) subtract(gradient, (from + i) * rows, off, h[i * n + j]!);
    }
  }
}

/** to[at + r] -= factor * what[r]. */
function subtract(to: Float64Array, at: number, what: Float64Array, factor: number): void {
  if (factor === 0) return;
  for (let r = 0; r < what.length; r++) to[at + r]! -= factor * what[r]!;
}
