/** The sparse feed-forward block: route, run the routed experts in waves, combine in rank order. */
import type { Activation, Matrix, Tensor, Vector } from "../backend/contract.ts";
import type { Context } from "./context.ts";
import { buildNorm, type Norm, normalize } from "./norm.ts";
import type { SparseFeedForwardSpec } from "./spec.ts";
import type { Trunk } from "./trunk.ts";

export interface SparseFeedForward {
  readonly kind: "sparse";
  readonly norm: Norm;
  readonly classifier: Matrix;
  readonly classifierBias: Vector | undefined;
  readonly expertLayer: number;
  readonly topK: 1 | 2;
  readonly weighting: "share" | "probability";
  readonly outputScale: number;
  readonly activation: Activation;
}

/** Finds the router in the trunk; the experts stay where they are. */
export function buildSparse(trunk: Trunk, spec: SparseFeedForwardSpec): SparseFeedForward {
  return {
    kind: "sparse",
    norm: buildNorm(trunk, spec.norm),
    classifier: trunk.matrix(spec.router.weight),
    classifierBias: spec.router.bias === undefined ? undefined : trunk.vector(spec.router.bias),
    expertLayer: spec.expertLayer,
    topK: spec.topK,
    weighting: spec.weighting,
    outputScale: spec.outputScale,
    activation: spec.activation,
  };
}

/** x += outputScale * sum over rank of weight * expert(norm(x)). x: [T, d_model]. */
export async function sparseFeedForward(
  ctx: Context,
  w: SparseFeedForward,
  x: Tensor,
  signal?: AbortSignal,
): Promise<void> {
  const { backend, workspace, residency } = ctx;
  const h = workspace.view("h", x.rows);
  const weights = workspace.view("expertWeights", x.rows, w.topK);
  const out = workspace.view("expertOut", x.rows * w.topK);
  const experts = workspace.expertIds;
  normalize(ctx, x, w.norm, h);
  backend.router({
    x: h,
    classifier: w.classifier,
    bias: w.classifierBias,
    topK: w.topK,
    weighting: w.weighting,
    experts,
    weights,
  });
  const chosen = await backend.readback(experts.buffer, experts.offset, x.rows * w.topK * 4);
  const wanted = [...new Set(new Int32Array(chosen.buffer, chosen.byteOffset, x.rows * w.topK))];
  for await (const wave of residency.waves(w.expertLayer, wanted, signal)) {
    try {
      for (const part of wave.parts) {
        backend.experts({
          x: h,
          experts,
          topK: w.topK,
          arenas: residency.arenas,
          wave: part.experts,
          layout: part.layout,
          activation: w.activation,
          out,
        });
      }
      backend.submit();
    } finally {
      wave.done();
    }
  }
  backend.combine({
    expertOut: out,
    weights,
    topK: w.topK,
    scale: w.outputScale,
    residual: x,
    out: x,
  });
}
