/**
 * Reads rows that a trellis has written before: training with codes that stay (models/recipe/qat.py) ends in weights that
 * are levels times f16 scales to the last bit, and packing must find these very codes and scales again. A
 * group of one or two columns does not say which codes it had (32 times a scale is 16 times its double); from some ten
 * columns on it does.
 */
import type { MatrixFormat, MatrixLayout } from "../base/layout.ts";
import { TRELLIS_LEVELS } from "../base/trellis.ts";
import { roundToHalf } from "./half.ts";
import { levelIndex, nextState } from "./viterbi.ts";

/**
 * Codes and scales whose weights are these to the last bit.
 *
 * @param weights float64 [rowCount, cols]
 * @param states the codes of the three rows above, by column; those of the last rows afterwards
 * @param codes [rowCount, colsPadded], one a byte, overwritten
 * @param scales f16 values as numbers [rowCount, groups], overwritten
 * @returns whether there are any; if not, states, codes and scales are spoilt
 */
export function readExact(
  { cols, colsPadded, groups }: MatrixLayout,
  format: MatrixFormat,
  weights: Float64Array,
  states: Uint8Array,
  codes: Uint8Array,
  scales: Float64Array,
): boolean {
  const span = format.group || cols, rowCount = weights.length / cols;
  for (let r = 0; r < rowCount; r++) {
    const row = weights.subarray(r * cols, (r + 1) * cols);
    const own = codes.subarray(r * colsPadded, r * colsPadded + cols);
    for (let g = 0; g * span < cols; g++) {
      const from = g * span, to = Math.min(cols, from + span);
      const scale = readGroup(row, states, own, from, to);
      if (scale === undefined) return false;
      scales[r * groups + g] = scale;
    }
    for (let c = 0; c < cols; c++) states[c] = nextState(states[c]!, own[c]!);
  }
  return true;
}

/** The scale of one group, and its codes. Its largest weight has one of four levels, so four scales can be. */
function readGroup(
  row: Float64Array,
  states: Uint8Array,
  codes: Uint8Array,
  from: number,
  to: number,
): number | undefined {
  let largest = from;
  for (let c = from; c < to; c++) if (Math.abs(row[c]!) > Math.abs(row[largest]!)) largest = c;
  for (let code = 0; code < 4; code++) {
    const scale = row[largest]! / TRELLIS_LEVELS[levelIndex(states[largest]!, code)]!;
    if (!(scale > 0) || roundToHalf(scale) !== scale) continue;
    let c = from;
    for (; c < to; c++) {
      const first = levelIndex(states[c]!, 0), level = row[c]! / scale;
      const found = TRELLIS_LEVELS.indexOf(level, first) - first;
      if (found < 0 || found > 3) break;
      codes[c] = found;
    }
    if (c === to) return scale;
  }
  return undefined;
}
