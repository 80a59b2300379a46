/**
 * What decoder-only transformers share, as transformers stores them: RMS norms before each block, rotary positions,
 * grouped queries, gated feed-forward blocks. A family's file says where it differs.
 */
import type { ExpertLayerSpec, ModelPlan, TensorSpec } from "../base/plan.ts";
import type {
  AffineNames,
  AttentionSpec,
  FeedForwardSpec,
  LayerSpec,
  ModelSpec,
} from "../nn/spec.ts";
import {
  type DecoderConfig,
  type DecoderLayout,
  headsOf,
  type SparseLayout,
} from "./decoder_layout.ts";
import { layerTensors } from "./decoder_tensors.ts";
import { matrix, vector } from "./tensors.ts";

/** The plan and spec of a configuration under a layout. */
export function readDecoder(
  c: DecoderConfig,
  layout: DecoderLayout,
): { plan: ModelPlan; spec: ModelSpec } {
  const expertLayers: ExpertLayerSpec[] = [], layers: LayerSpec[] = [];
  const tensors: TensorSpec[] = [
    matrix("embed_tokens.weight", c.vocab_size, c.hidden_size, "embedding"),
  ];
  const ignored = new Map<string, string>();
  const head = matrix("lm_head.weight", c.vocab_size, c.hidden_size, "lm_head");
  const tiedHead = c.tie_word_embeddings ? { name: head.name, of: tensors[0]!.name } : undefined;
  if (tiedHead === undefined) tensors.push(head);
  for (let i = 0; i < c.num_hidden_layers; i++) {
    const sparse = layout.sparse(i);
    tensors.push(...layerTensors(c, layout, i, sparse));
    layers.push({
      attention: attentionSpec(c, layout, i),
      feedForward: feedForwardSpec(c, layout, i, { sparse, expertLayer: expertLayers.length }),
    });
    if (sparse !== undefined) expertLayers.push(expertLayer(c, i, sparse));
    ignored.set(`layers.${i}.self_attn.rotary_emb.inv_freq`, "computed");
  }
  tensors.push(vector("norm.weight", c.hidden_size));
  const { leftOut } = layout;
  const plan = { modelType: c.model_type, tensors, expertLayers, ignored, tiedHead, leftOut };
  return { plan, spec: modelSpec(c, layout, layers) };
}

const affine = (base: string, bias: boolean): AffineNames => ({
  weight: `${base}.weight`,
  bias: bias ? `${base}.bias` : undefined,
});

/**
 * Where outputs are multiplied by m before they are added, the stream is kept divided by m: each norm takes that out
 * again, with its epsilon divided by m^2.
 */
function normSpec(c: DecoderConfig, layout: DecoderLayout, name: string, scale?: number) {
  const epsilon = c.rms_norm_eps / (layout.residualScale ?? 1) ** 2;
  return { kind: "rms", weight: `${name}.weight`, epsilon, scale } as const;
}

function attentionSpec(c: DecoderConfig, layout: DecoderLayout, i: number): AttentionSpec {
  const base = `layers.${i}.self_attn`, over = layout.qkNorm;
  const of = (name: string) => affine(`${base}.${name}`, c.attention_bias);
  const norm = (name: string) =>
    over && { over, weight: `${base}.${name}.weight`, epsilon: c.rms_norm_eps };
  return {
    kind: "grouped",
    ...headsOf(c),
    norm: normSpec(c, layout, `layers.${i}.input_layernorm`),
    scores: { kind: "scaled", scale: layout.scoreScale },
    rotary: layout.rotary,
    queryNorm: norm("q_norm"),
    keyNorm: norm("k_norm"),
    clamp: layout.clamp,
    window: layout.window?.(i),
    sinks: layout.hasSinks ? `${base}.sinks` : undefined,
    query: of("q_proj"),
    key: of("k_proj"),
    value: of("v_proj"),
    output: of("o_proj"),
  };
}

function feedForwardSpec(
  c: DecoderConfig,
  layout: DecoderLayout,
  i: number,
  { sparse, expertLayer }: { sparse: SparseLayout | undefined; expertLayer: number },
): FeedForwardSpec {
  const norm = normSpec(c, layout, `layers.${i}.post_attention_layernorm`);
  if (sparse === undefined) {
    const base = `layers.${i}.mlp`, activation = "gated silu";
    const fc1 = affine(`${base}.gate_up_proj`, false), fc2 = affine(`${base}.down_proj`, false);
    return { kind: "dense", norm, activation, fc1, fc2 };
  }
  return {
    kind: "sparse",
    norm,
    router: sparse.router,
    expertLayer,
    topK: c.num_experts_per_tok,
    weighting: sparse.weighting,
    outputScale: 1,
    activation: sparse.gating,
  };
}

function expertLayer(c: DecoderConfig, layer: number, sparse: SparseLayout): ExpertLayerSpec {
  const d = c.hidden_size, { width, bias } = sparse;
  return {
    stack: "decoder",
    layer,
    count: sparse.experts,
    activation: sparse.gating,
    projections: [
      { name: "gate_up", rows: 2 * width, cols: d, bias },
      { name: "down", rows: d, cols: width, bias },
    ],
    tensorNames: (expert, projection) => {
      const base = `layers.${layer}.experts.${expert}.${projection}`;
      return { weight: `${base}.weight`, bias: `${base}.bias` };
    },
    parts: (expert, projection, of) =>
      sparse.parts(expert, projection === "down" ? "down" : "gate_up", of),
  };
}

function modelSpec(c: DecoderConfig, layout: DecoderLayout, layers: LayerSpec[]): ModelSpec {
  const { residualScale = 1, embeddingScale = 1 } = layout;
  const widths = layers.map((_, i) => 2 * (layout.sparse(i)?.width ?? c.intermediate_size));
  return {
    modelType: c.model_type,
    dModel: c.hidden_size,
    vocab: c.vocab_size,
    source: { kind: "chat" },
    tokens: {
      pad: c.pad_token_id ?? -1,
      eos: [c.eos_token_id ?? []].flat(),
      decoderStart: -1,
    },
    embedding: {
      table: "embed_tokens.weight",
      scale: embeddingScale / residualScale,
      positions: { kind: "none" },
      maxPositions: c.max_position_embeddings,
    },
    lmHead: "lm_head.weight",
    decoder: { layers, norm: normSpec(c, layout, "norm", layout.logitScale) },
    maxHidden: Math.max(...widths),
  };
}
