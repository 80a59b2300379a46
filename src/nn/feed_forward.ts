/** The dense feed-forward block. */
import type { Activation, Gating, Tensor } from "../backend/contract.ts";
import { type Affine, buildAffine, project } from "./attention.ts";
import type { Context } from "./context.ts";
import { buildNorm, type Norm, normalize } from "./norm.ts";
import type { DenseFeedForwardSpec } from "./spec.ts";
import type { Trunk } from "./trunk.ts";

/** Its weights on the device: fc1 [d_ff, d_model] ([2 * d_ff, d_model] where gated), fc2 [d_model, d_ff]. */
export interface DenseFeedForward {
  readonly kind: "dense";
  readonly norm: Norm;
  readonly fc1: Affine;
  readonly fc2: Affine;
  readonly activation: Activation | Gating;
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
  const { backend, workspace, mask } = ctx, h = workspace.view("h", x.rows);
  const f = workspace.view("f", x.rows, w.fc1.weight.layout.rows);
  normalize(ctx, x, w.norm, h);
  const product = { x: h, w: w.fc1.weight, bias: w.fc1.bias, out: f, mask };
  if (w.activation === "none" || w.activation === "relu") {
    backend.linear({ ...product, activation: w.activation });
    return project(ctx, f, w.fc2, x, x);
  }
  const gated = workspace.view("gated", x.rows, f.cols / 2);
  backend.linear(product);
  backend.gate({ x: f, gating: w.activation, out: gated, mask });
  project(ctx, gated, w.fc2, x, x);
}
