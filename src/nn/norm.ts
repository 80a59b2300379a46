/** Norms: what an attention or feed-forward block does to its input first. */
import type { Tensor, Vector } from "../backend/contract.ts";
import type { Context } from "./context.ts";
import type { NormSpec } from "./spec.ts";
import type { Trunk } from "./trunk.ts";

/** A norm's vectors on the device, each [d_model]. */
export type Norm =
  | {
    readonly kind: "layer";
    readonly weight: Vector;
    readonly bias: Vector;
    readonly epsilon: number;
  }
  | {
    readonly kind: "rms";
    readonly weight: Vector;
    readonly epsilon: number;
    readonly scale: number;
  };

/** Finds a norm in the trunk. */
export function buildNorm(trunk: Trunk, spec: NormSpec): Norm {
  const weight = trunk.vector(spec.weight), { epsilon } = spec;
  return spec.kind === "layer"
    ? { kind: "layer", weight, bias: trunk.vector(spec.bias), epsilon }
    : { kind: "rms", weight, epsilon, scale: spec.scale ?? 1 };
}

/** out = norm(x). */
export function normalize(ctx: Context, x: Tensor, norm: Norm, out: Tensor): void {
  const { mask } = ctx;
  if (norm.kind === "layer") ctx.backend.layerNorm({ x, ...norm, out, mask });
  else ctx.backend.rmsNorm({ x, ...norm, out, mask });
}
