/** Short ways to say what a plan's tensors are. */
import type { TensorPlace, TensorRole, TensorSpec } from "../base/plan.ts";

/** A norm's weight, a bias: f32 [length]. */
export function vector(name: string, length: number): TensorSpec {
  return { name, role: "vector", shape: [length], place: placeOf(name) };
}

/** A matrix [rows, cols]. */
export function matrix(
  name: string,
  rows: number,
  cols: number,
  role: TensorRole = "matrix",
): TensorSpec {
  return { name, role, shape: [rows, cols], place: role === "exact" ? undefined : placeOf(name) };
}

/** By what families call their parts; a name without a stack's is of the only one, the decoder. */
function placeOf(name: string): TensorPlace | undefined {
  const stack = name.startsWith("encoder.") ? "encoder" : "decoder";
  if (name.includes("norm")) return undefined;
  if (/attn|attention/i.test(name)) return { stack, part: "attention" };
  return /\b(fc\d|ffn|mlp|wi|wo)\b/.test(name) ? { stack, part: "dense_ffn" } : undefined;
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
