/** The sparse feed-forward block: route, run the routed experts where they lie or in waves, combine in rank order. */
import type {
  Activation,
  ExpertBase,
  ExpertsOp,
  Gating,
  IndexArray,
  Matrix,
  Tensor,
  Vector,
} from "../backend/contract.ts";
import { layoutIndexOf } from "../backend/contract.ts";
import type { ExpertLayout } from "../base/layout.ts";
import type { WaitOptions } from "../experts/contract.ts";
import type { Context } from "./context.ts";
import { buildNorm, type Norm, normalize } from "./norm.ts";
import type { StepView } from "./step.ts";
import type { SparseFeedForwardSpec } from "./spec.ts";
import type { Trunk } from "./trunk.ts";

export interface SparseFeedForward {
  readonly kind: "sparse";
  readonly norm: Norm;
  readonly classifier: Matrix;
  readonly classifierBias: Vector | undefined;
  readonly bases: readonly ExpertBase[];
  readonly expertLayer: number;
  readonly topK: number;
  readonly weighting: "share" | "probability";
  readonly outputScale: number;
  readonly activation: Activation | Gating;
}

/** Finds the router in the trunk; the experts stay where they are. */
export function buildSparse(trunk: Trunk, spec: SparseFeedForwardSpec): SparseFeedForward {
  return {
    kind: "sparse",
    norm: buildNorm(trunk, spec.norm),
    classifier: trunk.matrix(spec.router.weight),
    classifierBias: spec.router.bias === undefined ? undefined : trunk.vector(spec.router.bias),
    bases: (spec.bases ?? []).map((names) => ({
      fc1: trunk.matrix(names.fc1),
      fc2: trunk.matrix(names.fc2),
    })),
    expertLayer: spec.expertLayer,
    topK: spec.topK,
    weighting: spec.weighting,
    outputScale: spec.outputScale,
    activation: spec.activation,
  };
}

/** The operands that both ways below share. x: [T, d_model]. */
function operands(ctx: Context, w: SparseFeedForward, x: Tensor) {
  const { workspace } = ctx;
  const h = workspace.view("h", x.rows);
  const weights = workspace.view("expertWeights", x.rows, w.topK);
  const out = workspace.view("expertOut", x.rows * w.topK);
  normalize(ctx, x, w.norm, h);
  const router = {
    x: h,
    classifier: w.classifier,
    bias: w.classifierBias,
    topK: w.topK,
    weighting: w.weighting,
    weights,
    mask: ctx.mask,
  };
  const experts = { x: h, topK: w.topK, activation: w.activation, out, mask: ctx.mask };
  const combine = {
    expertOut: out,
    weights,
    topK: w.topK,
    scale: w.outputScale,
    residual: x,
    out: x,
    mask: ctx.mask,
  };
  return { router, experts, combine };
}

/**
 * x += outputScale * sum over rank of weight * expert(LayerNorm(x)). x: [T, d_model]. Waits for the routing, then
 * runs what the layer needs in waves, between which other passes may use the device. `step`, where this is one of a
 * decoder step, says which rows are live.
 */
export async function sparseFeedForward(
  ctx: Context,
  w: SparseFeedForward,
  x: Tensor,
  { step, wait }: { step?: StepView | undefined; wait?: WaitOptions | undefined } = {},
): Promise<void> {
  const { backend, residency } = ctx;
  const { router, experts, combine } = operands(ctx, w, x);
  const chosen = step?.choices(w.expertLayer) ?? ctx.workspace.expertIds;
  backend.router({ ...router, experts: chosen });
  await ctx.observer?.routed(w.expertLayer, { ...router, backend, experts: chosen });
  const bytes = await backend.readback(chosen.buffer, chosen.offset, x.rows * w.topK * 4);
  const all = new Int32Array(bytes.buffer, bytes.byteOffset, x.rows * w.topK);
  const wanted = step === undefined ? new Set(all) : runHere(w, all, step.rows.resumeAt);
  for await (const wave of residency.waves(w.expertLayer, [...wanted], wait)) {
    try {
      runExperts(ctx, w, experts, all.map((e) => wave.places.get(e) ?? -1));
      backend.submit();
    } finally {
      wave.done();
    }
  }
  backend.combine(combine);
}

/** Runs the experts that have a place, one call a distinct layout of those in `places`. */
function runExperts(
  { backend, residency }: Context,
  w: SparseFeedForward,
  common: Pick<ExpertsOp, "x" | "topK" | "activation" | "out" | "mask">,
  places: IndexArray,
): void {
  const { arenas } = residency;
  residency.layouts(w.expertLayer).forEach((layout, layoutIndex) => {
    if (places instanceof Int32Array && !places.some((p) => layoutIndexOf(p) === layoutIndex)) {
      return;
    }
    backend.experts({ ...common, places, arenas, layout, layoutIndex, base: baseOf(w, layout) });
  });
}

function baseOf(w: SparseFeedForward, { base }: ExpertLayout): ExpertBase | undefined {
  return base === undefined ? undefined : w.bases[base];
}

/** Distinct experts of the rows that are not parked at a later layer. */
function runHere(w: SparseFeedForward, all: Int32Array, resumeAt: Int32Array): Set<number> {
  return new Set(all.filter((_, pair) => resumeAt[Math.floor(pair / w.topK)]! <= w.expertLayer));
}

/** The same without waiting: rows that miss an expert are out of the step from here on. */
export function waitlessFeedForward(
  ctx: Context,
  w: SparseFeedForward,
  x: Tensor,
  step: StepView,
): void {
  const { backend, residency } = ctx;
  const { router, experts, combine } = operands(ctx, w, x);
  const places = ctx.workspace.places;
  const lookup = {
    table: residency.placesOf(w.expertLayer),
    places,
    live: step.live,
    faults: step.faults,
    layer: w.expertLayer,
    groupStarts: step.rows.groupStarts,
    groupLengths: step.rows.groupLengths,
  };
  backend.router({ ...router, experts: step.choices(w.expertLayer), lookup });
  runExperts(ctx, w, experts, places);
  backend.combine(combine);
}
