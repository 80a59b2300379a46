/** What one expert gives for one row, in float64. */
import type { Activation, Gating } from "../../src/backend/contract.ts";
import { gatingOf } from "../../src/backend/shapes.ts";
import { gateTwin } from "./gate.ts";
import { linearTwin } from "./linear.ts";

export interface ExpertTwin {
  x: ArrayLike<number>; // [d]
  w1: ArrayLike<number>; // [ff, d], or [2 * ff, d] where gated
  w2: ArrayLike<number>; // [d, ff]
  b1: ArrayLike<number>; // [ff], or [2 * ff] where gated
  b2: ArrayLike<number>; // [d]
  activation: Activation | Gating;
}

/** [d] = act(x w1' + b1) w2' + b2 */
export function expertTwin({ x, w1, w2, b1, b2, activation }: ExpertTwin): Float64Array {
  const d = b2.length, n = b1.length, gating = gatingOf(activation);
  const relu = activation === "relu";
  const hidden = linearTwin({ x, w: w1, rows: 1, n, k: d, bias: b1, relu });
  const inner = gating === undefined ? hidden : gateTwin(hidden, n / 2, gating);
  return linearTwin({ x: inner, w: w2, rows: 1, n: d, k: inner.length, bias: b2 });
}
