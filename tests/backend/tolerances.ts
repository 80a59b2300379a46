/**
 * The one table of tolerances: normalized mean squared error of an f32 kernel against its float64 twin.
 * f32 has a relative step of 6e-8; squared 4e-15, times what a sum of a few thousand terms costs.
 */
export const NMSE = {
  /** Sums of products in f32 over dequantized weights. */
  product: 2e-12,
  layerNorm: 1e-12,
  /** One multiplication and one addition. */
  embed: 1e-13,
  gate: 1e-12,
  /** Nothing is rounded but the bound. */
  clamp: 1e-13,
  /** An RMS norm, then two multiplications and one addition. */
  rotary: 1e-12,
  attention: 5e-12,
  /** Softmax weights. */
  router: 1e-11,
  combine: 1e-13,
  /** Two products, one after the other. */
  experts: 5e-12,
  logProbs: 1e-11,
} as const;
