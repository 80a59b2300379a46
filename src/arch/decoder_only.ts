/**
 * What decoder-only transformers share, as transformers stores them: RMS norms before each block, rotary positions,
 * grouped queries, gated feed-forward blocks. A family's file says where it differs.
 */
import { z } from "zod";
import type { ExpertLayerSpec, ModelPlan, TensorPart, TensorSpec } from "../base/plan.ts";
import type { Gating } from "../backend/contract.ts";
import type {
  AffineNames,
  AttentionSpec,
  FeedForwardSpec,
  LayerSpec,
  ModelSpec,
  RotarySpec,
} from "../nn/spec.ts";
import { count } from "./config.ts";
import { rotaryFaults, rotaryFields } from "./rotary.ts";
import { matrix, vector } from "./tensors.ts";

const tokens = z.union([z.number().int(), z.array(z.number().int())]).nullish();

/** Fields of config.json that decide shapes and meaning in every one of them. */
export const decoderFields = {
  vocab_size: count,
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: count.max(1024),
  num_attention_heads: count,
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  hidden_act: z.string().default("silu"),
  rms_norm_eps: z.number().positive().default(1e-6),
  tie_word_embeddings: z.boolean().default(false),
  attention_bias: z.boolean().default(false),
  num_experts_per_tok: count,
  pad_token_id: z.number().int().nullish(),
  bos_token_id: z.number().int().nullish(),
  eos_token_id: tokens,
  ...rotaryFields,
};
const decoderConfig = z.looseObject({ model_type: z.string(), ...decoderFields });
export type DecoderConfig = z.infer<typeof decoderConfig>;

/** Experts of a layer, by a family's names. */
export interface SparseLayout {
  /** Canonical name of the router's matrix, and of its bias where it has one. */
  readonly router: AffineNames;
  readonly experts: number;
  /** Width of an expert's hidden layer. */
  readonly width: number;
  readonly weighting: "share" | "probability";
  readonly gating: Gating;
  readonly bias: boolean;
  /** Rows of gate and then up; rows of down: in the checkpoint's tensors. */
  parts(expert: number, projection: "gate_up" | "down", of: "weight" | "bias"): TensorPart[];
}

/** Where a family differs. */
export interface DecoderLayout {
  readonly rotary: RotarySpec;
  /** Norms of queries and keys: a head, or the whole projection. */
  readonly qkNorm?: "head" | "projection" | undefined;
  /** q, k and v lie within -clamp..clamp. */
  readonly clamp?: number | undefined;
  /** What scores are multiplied by; head_dim ^ -0.5 unless given. */
  readonly scoreScale?: number | undefined;
  readonly hasSinks?: boolean | undefined;
  /** Positions that a layer's tokens see; all unless given. */
  window?(layer: number): number | undefined;
  /** Undefined: the layer has a dense gated block. */
  sparse(layer: number): SparseLayout | undefined;
  readonly embeddingScale?: number | undefined;
  /** What every block's output is multiplied by before it is added. */
  readonly residualScale?: number | undefined;
  /** What logits are multiplied by. */
  readonly logitScale?: number | undefined;
  readonly leftOut?: ModelPlan["leftOut"];
}

/** Heads and their width. */
export function headsOf(c: DecoderConfig) {
  const heads = c.num_attention_heads, kvHeads = c.num_key_value_heads ?? heads;
  return { heads, kvHeads, headDim: c.head_dim ?? Math.floor(c.hidden_size / heads) };
}

/** What contradicts itself or cannot be run of what all of them share, in words. */
export function decoderFaults(c: DecoderConfig, experts: number): string[] {
  const { heads, kvHeads, headDim } = headsOf(c);
  const faults = rotaryFaults(c, headDim);
  if (heads % kvHeads !== 0) {
    faults.push(`num_key_value_heads ${kvHeads} does not divide num_attention_heads ${heads}`);
  }
  if (c.head_dim === undefined && c.hidden_size % heads !== 0) {
    faults.push(`hidden_size ${c.hidden_size} is no multiple of num_attention_heads`);
  }
  if (c.num_experts_per_tok > Math.min(16, experts)) {
    faults.push(
      `num_experts_per_tok is ${c.num_experts_per_tok}, at most 16 of ${experts} are run`,
    );
  }
  return faults;
}

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

function layerTensors(
  c: DecoderConfig,
  layout: DecoderLayout,
  i: number,
  sparse: SparseLayout | undefined,
): TensorSpec[] {
  const base = `layers.${i}`, d = c.hidden_size, { heads, kvHeads, headDim } = headsOf(c);
  const rows = { q: heads * headDim, k: kvHeads * headDim, v: kvHeads * headDim };
  const projection = (name: string, n: number, k: number): TensorSpec[] => [
    matrix(`${base}.self_attn.${name}_proj.weight`, n, k),
    ...c.attention_bias ? [vector(`${base}.self_attn.${name}_proj.bias`, n)] : [],
  ];
  const normed = layout.qkNorm === undefined ? [] : (["q", "k"] as const).map((name) =>
    vector(
      `${base}.self_attn.${name}_norm.weight`,
      layout.qkNorm === "head" ? headDim : rows[name],
    )
  );
  return [
    vector(`${base}.input_layernorm.weight`, d),
    ...(["q", "k", "v"] as const).flatMap((name) => projection(name, rows[name], d)),
    ...projection("o", d, rows.q),
    ...normed,
    ...layout.hasSinks ? [vector(`${base}.self_attn.sinks`, heads)] : [],
    vector(`${base}.post_attention_layernorm.weight`, d),
    ...sparse === undefined ? denseTensors(c, `${base}.mlp`) : routerTensors(sparse, d),
  ];
}

/** gate and up become one matrix, since both multiply the same input. */
function denseTensors(c: DecoderConfig, base: string): TensorSpec[] {
  const width = c.intermediate_size, d = c.hidden_size;
  const parts = ["gate_proj", "up_proj"].map((name) => ({
    tensor: `${base}.${name}.weight`,
    shape: [width, d],
  }));
  return [
    { ...matrix(`${base}.gate_up_proj.weight`, 2 * width, d), parts },
    matrix(`${base}.down_proj.weight`, d, width),
  ];
}

function routerTensors({ router, experts }: SparseLayout, d: number): TensorSpec[] {
  return [
    matrix(router.weight, experts, d, "exact"),
    ...router.bias === undefined ? [] : [vector(router.bias, experts)],
  ];
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

/** An expert's three matrices as tensors of their own: gate and up, then down. */
export function separateExperts(
  base: (expert: number) => string,
  names: { gate: string; up: string; down: string },
  { width, d }: { width: number; d: number },
): SparseLayout["parts"] {
  return (expert, projection) =>
    projection === "down"
      ? [{ tensor: `${base(expert)}.${names.down}.weight`, shape: [d, width] }]
      : [names.gate, names.up].map((name) => ({
        tensor: `${base(expert)}.${name}.weight`,
        shape: [width, d],
      }));
}
