/** What gating means, in float64. */
import type { Gating } from "../../src/backend/contract.ts";

/** [rows, width] of x [rows, 2 * width]. */
export function gateTwin(x: ArrayLike<number>, width: number, gating: Gating): Float64Array {
  const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));
  return Float64Array.from({ length: x.length / 2 }, (_, i) => {
    const at = i % width + 2 * (i - i % width), g = x[at]!, u = x[at + width]!;
    if (gating === "gated silu") return g * sigmoid(g) * u;
    const gate = Math.min(g, 7), up = Math.max(-7, Math.min(7, u));
    return gate * sigmoid(1.702 * gate) * (up + 1);
  });
}
