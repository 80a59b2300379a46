/** Short ways to say what a plan's tensors are. */
import type { TensorRole, TensorSpec } from "../base/plan.ts";

/** A norm's weight, a bias: f32 [length]. */
export function vector(name: string, length: number): TensorSpec {
  return { name, role: "vector", shape: [length] };
}

/** A matrix [rows, cols]. */
export function matrix(
  name: string,
  rows: number,
  cols: number,
  role: TensorRole = "matrix",
): TensorSpec {
  return { name, role, shape: [rows, cols] };
}

/**
 * Tables of the stacks' own that must be copies of shared.weight: with untied embeddings transformers reads these,
 * with tied ones what a checkpoint has there is of no account.
 */
export function embeddingCopies(tied: boolean): ReadonlyMap<string, string> {
  const stacks = tied ? [] : ["encoder", "decoder"];
  return new Map(stacks.map((stack) => [`${stack}.embed_tokens.weight`, "shared.weight"]));
}

/** A projection [rows, cols] with its bias. */
export function affineTensors(base: string, rows: number, cols: number): TensorSpec[] {
  return [matrix(`${base}.weight`, rows, cols), vector(`${base}.bias`, rows)];
}
