/** The dense feed-forward block. */
import type { Activation, Tensor } from "../backend/contract.ts";
import { type Affine, buildAffine, project } from "./attention.ts";
import type { Context } from "./context.ts";
import { buildNorm, type Norm, normalize } from "./norm.ts";
import type { DenseFeedForwardSpec } from "./spec.ts";
import type { Trunk } from "./trunk.ts";

/** Its weights on the device: fc1 [d_ff, d_model], fc2 [d_model, d_ff]. */
export interface DenseFeedForward {
  readonly kind: "dense";
  readonly norm: Norm;
  readonly fc1: Affine;
  readonly fc2: Affine;
  readonly activation: Activation;
}

/** Finds the block's weights in the trunk. */
export function buildDense(trunk: Trunk, spec: DenseFeedForwardSpec): DenseFeedForward {
  return {
    kind: "dense",
    norm: buildNorm(trunk, spec.norm),
    fc1: buildAffine(trunk, spec.fc1),
    fc2: buildAffine(trunk, spec.fc2),
    activation: spec.activation,
  };
}

/** x += fc2(act(fc1(norm(x)))). x: [T, d_model]. */
export function denseFeedForward(ctx: Context, w: DenseFeedForward, x: Tensor): void {
  const h = ctx.workspace.view("h", x.rows);
  const f = ctx.workspace.view("f", x.rows, w.fc1.weight.layout.rows);
  normalize(ctx, x, w.norm, h);
  ctx.backend.linear({
    x: h,
    w: w.fc1.weight,
    bias: w.fc1.bias,
    activation: w.activation,
    out: f,
    mask: ctx.mask,
  });
  project(ctx, f, w.fc2, x, x);
}
