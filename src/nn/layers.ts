/** Layers of a stack on the device, and their order: attention, cross-attention where there is a memory, feed-forward. */
import type { KvLayer, Tensor } from "../backend/contract.ts";
import type { WaitOptions } from "../experts/contract.ts";
import { type Attention, buildAttention, crossAttention, pagedSelfAttention } from "./attention.ts";
import type { Context, StepRows } from "./context.ts";
import type { Distances } from "./distances.ts";
import { buildDense, type DenseFeedForward, denseFeedForward } from "./feed_forward.ts";
import { buildNorm, type Norm } from "./norm.ts";
import { buildSparse, type SparseFeedForward, sparseFeedForward } from "./sparse_feed_forward.ts";
import type { LayerSpec, StackSpec } from "./spec.ts";
import type { Trunk } from "./trunk.ts";

/** A layer's blocks; cross-attention only where there is a memory. */
export interface Layer {
  readonly attention: Attention;
  readonly cross: Attention | undefined;
  readonly feedForward: DenseFeedForward | SparseFeedForward;
}

/** Layers in order, and the norm of what the last one gives. */
export interface Stack<L extends Layer> {
  readonly layers: readonly L[];
  readonly norm: Norm;
}

/** A layer that keeps keys and values. */
export type DecoderLayer = Layer & { readonly kv: KvLayer };

/** Finds a stack's weights in the trunk; `more` is what a layer has beside them. */
export function buildStack<More>(
  trunk: Trunk,
  spec: StackSpec,
  distances: Distances,
  more: (layer: LayerSpec, index: number) => More,
): Stack<Layer & More> {
  const layers = spec.layers.map((l, i) => ({
    attention: buildAttention(trunk, l.attention, distances),
    cross: l.crossAttention && buildAttention(trunk, l.crossAttention, distances),
    feedForward: l.feedForward.kind === "dense"
      ? buildDense(trunk, l.feedForward)
      : buildSparse(trunk, l.feedForward),
    ...more(l, i),
  }));
  return { layers, norm: buildNorm(trunk, spec.norm) };
}

/** Both attentions of a decoder layer, each added to x. Writes the rows' K and V. */
export function attend(ctx: Context, layer: DecoderLayer, x: Tensor, rows: StepRows): void {
  pagedSelfAttention(ctx, layer.attention, x, layer.kv, rows);
  if (layer.cross !== undefined) crossAttention(ctx, layer.cross, x, layer.kv, rows);
}

/** x += feedForward(norm(x)) of rows that all run to the end: experts come in waves, between which it may pause. */
export async function feedForward(
  ctx: Context,
  { feedForward: f }: Layer,
  x: Tensor,
  wait: WaitOptions | undefined,
): Promise<void> {
  if (f.kind === "dense") denseFeedForward(ctx, f, x);
  else await sparseFeedForward(ctx, f, x, { wait });
}
