/** Norms: what an attention or feed-forward block does to its input first. */
import type { Tensor, Vector } from "../backend/contract.ts";
import type { Context } from "./context.ts";
import type { NormSpec } from "./spec.ts";
import type { Trunk } from "./trunk.ts";

/** A norm's vectors on the device, each [d_model]. */
export type Norm =
  | { readonly kind: "layer"; readonly weight: Vector; readonly bias: Vector }
  | { readonly kind: "rms"; readonly weight: Vector; readonly scale: number };

/** Finds a norm in the trunk. */
export function buildNorm(trunk: Trunk, spec: NormSpec): Norm {
  const weight = trunk.vector(spec.weight);
  return spec.kind === "layer"
    ? { kind: "layer", weight, bias: trunk.vector(spec.bias) }
    : { kind: "rms", weight, scale: spec.scale ?? 1 };
}

/** out = norm(x). */
export function normalize(ctx: Context, x: Tensor, norm: Norm, out: Tensor): void {
  const epsilon = ctx.spec.normEpsilon, { mask } = ctx;
  if (norm.kind === "layer") {
    ctx.backend.layerNorm({ x, weight: norm.weight, bias: norm.bias, epsilon, out, mask });
  } else {
    ctx.backend.rmsNorm({ x, weight: norm.weight, scale: norm.scale, epsilon, out, mask });
  }
}
