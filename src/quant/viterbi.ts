/** Codes of one column of a trellis-coded matrix: Viterbi's algorithm over 64 states (src/base/trellis.ts). */
import { TRELLIS_LEVELS, TRELLIS_MEMORY, trellisUpper } from "../base/trellis.ts";

/** Codes of the three rows above, the nearest in the low two bits. */
export const STATES = 4 ** TRELLIS_MEMORY;
const OLDEST = STATES / 4;

/** For each state, where its four levels begin among the 16. */
const FIRST = Uint8Array.from({ length: STATES }, (_, state) => levelIndex(state, 0));
const LEVELS = Float64Array.from(TRELLIS_LEVELS);

/** The index of the level that `code` stands for after the rows of `state`. */
export function levelIndex(state: number, code: number): number {
  return trellisUpper(state & 3, state >> 2 & 3, state >> 4) << 2 | code;
}

/** The state after one more row. */
export function nextState(state: number, code: number): number {
  return (state << 2 | code) & STATES - 1;
}

/** Owns what the ways to all states cost, for a column of up to `rows`. */
export class Viterbi {
  readonly #costs: Float64Array;
  readonly #errors = new Float64Array(LEVELS.length);

  constructor(rows: number) {
    this.#costs = new Float64Array((rows + 1) * STATES);
  }

  /**
   * Codes of least error, the sum over rows of (target - scale * level)^2, behind the rows of `state`.
   *
   * @param targets float64 [rows]
   * @param scales float64 [rows], of the column's group
   * @param codes [rows], overwritten
   */
  encode(
    targets: Float64Array,
    scales: Float64Array,
    rows: number,
    state: number,
    codes: Uint8Array,
  ): void {
    const costs = this.#costs, errors = this.#errors;
    costs.fill(Infinity, 0, STATES);
    costs[state] = 0;
    for (let r = 0, at = 0; r < rows; r++, at += STATES) {
      errorsOf(targets[r]!, scales[r]!, errors);
      step(costs, at, errors);
    }
    let end = rows * STATES, to = 0;
    for (let s = 1; s < STATES; s++) if (costs[end + s]! < costs[end + to]!) to = s;
    for (let r = rows - 1; r >= 0; r--) {
      end -= STATES;
      codes[r] = to & 3;
      errorsOf(targets[r]!, scales[r]!, errors);
      to = before(costs, end, errors, to);
    }
  }
}

function errorsOf(target: number, scale: number, errors: Float64Array): void {
  for (let i = 0; i < errors.length; i++) {
    const d = target - scale * LEVELS[i]!;
    errors[i] = d * d;
  }
}

/** One row: what the best way to each state costs. Which one it was is found again on the way back, so nothing branches. */
function step(costs: Float64Array, at: number, errors: Float64Array): void {
  const next = at + STATES;
  for (let j = 0; j < OLDEST; j++) {
    const c0 = costs[at + j]!, c1 = costs[at + OLDEST + j]!;
    const c2 = costs[at + 2 * OLDEST + j]!, c3 = costs[at + 3 * OLDEST + j]!;
    const f0 = FIRST[j]!, f1 = FIRST[OLDEST + j]!;
    const f2 = FIRST[2 * OLDEST + j]!, f3 = FIRST[3 * OLDEST + j]!;
    for (let code = 0; code < 4; code++) {
      costs[next + j * 4 + code] = Math.min(
        Math.min(c0 + errors[f0 + code]!, c1 + errors[f1 + code]!),
        Math.min(c2 + errors[f2 + code]!, c3 + errors[f3 + code]!),
      );
    }
  }
}

/** The predecessor by which the best way to state `to` leads; the first of equal ones. */
function before(costs: Float64Array, at: number, errors: Float64Array, to: number): number {
  let best = Infinity, found = 0;
  for (let from = to >> 2; from < STATES; from += OLDEST) {
    const cost = costs[at + from]! + errors[FIRST[from]! + (to & 3)]!;
    if (cost < best) best = cost, found = from;
  }
  return found;
}
