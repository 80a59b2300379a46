/** Codes of one column of a trellis-coded matrix: Viterbi's algorithm over 64 states (src/base/trellis.ts). */
import bytes from "../../kernels/cpu.wasm" with { type: "bytes" };
import { TRELLIS_LEVELS, TRELLIS_MEMORY, trellisUpper } from "../base/trellis.ts";
import { alignUp } from "../base/units.ts";

/** Codes of the three rows above, the nearest in the low two bits. */
const STATES = 4 ** TRELLIS_MEMORY;

/** Where the levels of state 16k + j begin among floats of four: [j, k]. */
const OFFSETS = Int32Array.from(
  { length: STATES },
  (_, i) => levelIndex((i & 3) * (STATES / 4) + (i >> 2), 0) * 4,
);

/** The index of the level that `code` stands for after the rows of `state`. */
export function levelIndex(state: number, code: number): number {
  return trellisUpper(state & 3, state >> 2 & 3, state >> 4) << 2 | code;
}

/** The state after one more row. */
export function nextState(state: number, code: number): number {
  return (state << 2 | code) & STATES - 1;
}

/** The module's own 64 KiB lie first. */
const OWN = 2 ** 16;
const PAGE = 2 ** 16;
let compiled: WebAssembly.Module | undefined;

/** kernels/wasm/viterbi.ts with memory of its own, for columns of up to `rows`. */
export class Viterbi {
  readonly #encode: (...args: number[]) => void;
  readonly #targets: Float32Array;
  readonly #scales: Float32Array;
  readonly #codes: Uint8Array;
  readonly #at: { levels: number; offsets: number; errors: number; costs: number };

  constructor(rows: number) {
    let top = OWN;
    const take = (bytes: number) => (top += alignUp(bytes, 16)) - alignUp(bytes, 16);
    const at = this.#at = {
      levels: take(16 * 4),
      offsets: take(STATES * 4),
      errors: take(16 * 4),
      costs: take((rows + 1) * STATES * 4),
    };
    const targets = take(rows * 4), scales = take(rows * 4), codes = take(rows);
    const initial = alignUp(top, PAGE) / PAGE;
    const memory = new WebAssembly.Memory({ initial, maximum: initial, shared: true });
    new Float32Array(memory.buffer, at.levels, 16).set(TRELLIS_LEVELS);
    new Int32Array(memory.buffer, at.offsets, STATES).set(OFFSETS);
    this.#targets = new Float32Array(memory.buffer, targets, rows);
    this.#scales = new Float32Array(memory.buffer, scales, rows);
    this.#codes = new Uint8Array(memory.buffer, codes, rows);
    compiled ??= new WebAssembly.Module(bytes as BufferSource);
    const { exports } = new WebAssembly.Instance(compiled, { env: { memory } });
    this.#encode = exports.viterbi as (...args: number[]) => void;
  }

  /**
   * Codes of least error, the sum over rows of (target - scale * level)^2 in float32, behind the rows of `state`.
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
    const { levels, offsets, errors, costs } = this.#at;
    this.#targets.set(targets);
    this.#scales.set(scales);
    this.#encode(
      this.#targets.byteOffset,
      this.#scales.byteOffset,
      rows,
      state,
      levels,
      offsets,
      errors,
      costs,
      this.#codes.byteOffset,
    );
    codes.set(this.#codes.subarray(0, rows));
  }
}
