/** What the bounds of activations mean. */

/** x, each within -limit to limit. */
export function clampTwin(x: ArrayLike<number>, limit: number): Float64Array {
  return Float64Array.from(x, (value) => Math.min(limit, Math.max(-limit, value)));
}
