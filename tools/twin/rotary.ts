/** What rotary positions mean, in float64. */
import { rmsNormTwin } from "./linear.ts";

export interface RotaryTwin {
  x: ArrayLike<number>; // [rows, heads * headDim]
  heads: number;
  headDim: number;
  norm?: { weight: ArrayLike<number>; epsilon: number } | undefined;
  angles: ArrayLike<number>; // [rows, turned]: cosines, then sines
  turned: number;
  pairs: "halves" | "neighbours";
}

/** [rows, heads * headDim]: each head normalized where there is a norm, then its pairs turned. */
export function rotaryTwin(op: RotaryTwin): Float64Array {
  const { x, norm, heads, headDim, turned } = op;
  const from = norm === undefined
    ? Float64Array.from(x)
    : rmsNormTwin(x, norm.weight, norm.epsilon, 1);
  const out = from.slice();
  for (let head = 0; head < x.length / headDim; head++) {
    const row = Math.floor(head / heads) * turned;
    for (let i = 0; i < turned / 2; i++) {
      const first = head * headDim + (op.pairs === "halves" ? i : 2 * i);
      const second = op.pairs === "halves" ? first + turned / 2 : first + 1;
      const cos = op.angles[row + i]!, sin = op.angles[row + turned / 2 + i]!;
      out[first] = from[first]! * cos - from[second]! * sin;
      out[second] = from[second]! * cos + from[first]! * sin;
    }
  }
  return out;
}
