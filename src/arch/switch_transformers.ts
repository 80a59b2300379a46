/**
 * Switch Transformers: T5 blocks, and experts of which a token takes one. The published ones fill in blanks; one that was
 * fine-tuned to translate takes T5's prompts. moqe drops no token: the reference leaves
 * out those past `expert_capacity` (64) that one expert gets of one sentence.
 */
import { z } from "zod";
import type { ExpertLayerSpec, ModelPlan, Stack, TensorSpec } from "../base/plan.ts";
import type {
  AttentionSpec,
  FeedForwardSpec,
  LayerSpec,
  ModelSpec,
  NormSpec,
  ScoresSpec,
} from "../nn/spec.ts";
import type { Architecture } from "./contract.ts";
import { count, parseConfig, refuseOptions } from "./config.ts";
import { embeddingCopies, matrix, vector } from "./tensors.ts";

const whole = z.number().int().nonnegative();
/** Defaults are the reference's. */
const config = z.looseObject({
  model_type: z.literal("switch_transformers"),
  vocab_size: count.default(32128),
  d_model: count.default(768),
  d_kv: count.default(64),
  d_ff: count.default(2048),
  num_heads: count.default(12),
  num_layers: count.max(1024).default(12),
  num_decoder_layers: count.max(1024).nullish(),
  num_sparse_encoder_layers: whole.default(3),
  num_sparse_decoder_layers: whole.default(3),
  encoder_sparse_step: whole.optional(),
  decoder_sparse_step: whole.optional(),
  num_experts: count.max(65536).default(8),
  router_bias: z.boolean().default(false),
  router_dtype: z.string().default("float32"),
  relative_attention_num_buckets: count.multipleOf(4).default(32),
  relative_attention_max_distance: count.default(128),
  layer_norm_epsilon: z.number().positive().default(1e-6),
  dense_act_fn: z.string().default("relu"),
  is_gated_act: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(true),
  /** Attention knows no longest sentence; this is what the models were trained with. */
  n_positions: count.default(512),
  pad_token_id: whole.default(0),
  eos_token_id: whole.default(1),
  decoder_start_token_id: whole.nullish(),
});
type Config = z.infer<typeof config>;

export const switchTransformers: Architecture = {
  modelType: "switch_transformers",
  read(json) {
    const c = parseConfig(config, json, "switch_transformers");
    const exact = c.relative_attention_num_buckets / 4;
    const faults = c.relative_attention_max_distance > 2 * exact
      ? []
      : ["relative_attention_max_distance leaves no room for buckets of more than one distance"];
    refuseOptions(
      c,
      { dense_act_fn: "relu", is_gated_act: false, router_dtype: "float32" },
      faults,
    );
    return { plan: planOf(c), spec: specOf(c) };
  },
};

/** Layers of a stack, and which of them are sparse. */
function depth(c: Config, stack: Stack): number {
  return stack === "encoder" ? c.num_layers : c.num_decoder_layers ?? c.num_layers;
}

/**
 * Layer i is sparse when i % step == 1, or the step is 1; step 0 means never. The step is the configuration's, else
 * layers over sparse layers, else (for none at all) the number of layers: the reference makes layer 1 sparse then.
 */
function isSparse(c: Config, stack: Stack, layer: number): boolean {
  const layers = depth(c, stack), wanted = c[`num_sparse_${stack}_layers`];
  const step = c[`${stack}_sparse_step`] ??
    (wanted > 0 ? Math.floor(layers / wanted) : layers);
  return step === 1 || step > 0 && layer % step === 1;
}

/** Names of a layer's blocks: `layer.0` attends to its own stack, the decoder's `layer.1` to the source. */
const blockOf = (stack: Stack, layer: number) => `${stack}.block.${layer}.layer`;
const feedForwardOf = (stack: Stack, layer: number) =>
  `${blockOf(stack, layer)}.${stack === "encoder" ? 1 : 2}`;
/** Only a stack's first layer has the table; all of its layers use it. */
const tableOf = (stack: Stack) =>
  `${blockOf(stack, 0)}.0.SelfAttention.relative_attention_bias.weight`;

const rms = (c: Config, base: string, scale?: number): NormSpec => ({
  kind: "rms",
  weight: `${base}.weight`,
  epsilon: c.layer_norm_epsilon,
  scale,
});

function attention(c: Config, base: string, name: string, scores: ScoresSpec): AttentionSpec {
  const of = (p: string) => ({ weight: `${base}.${name}.${p}.weight` });
  return {
    kind: "grouped",
    norm: rms(c, `${base}.layer_norm`),
    heads: c.num_heads,
    kvHeads: c.num_heads,
    headDim: c.d_kv,
    scores,
    rotary: { kind: "none" },
    query: of("q"),
    key: of("k"),
    value: of("v"),
    output: of("o"),
  };
}

/** Scores are q . k as they are. */
const PLAIN: ScoresSpec = { kind: "scaled", scale: 1 };

/** Layers of a stack as they run. `firstExpertLayer`: ordinal of its first sparse layer. */
function layersOf(c: Config, stack: Stack, firstExpertLayer: number): LayerSpec[] {
  let ordinal = firstExpertLayer;
  const scores: ScoresSpec = {
    kind: "distance",
    table: tableOf(stack),
    buckets: c.relative_attention_num_buckets,
    maxDistance: c.relative_attention_max_distance,
    bidirectional: stack === "encoder",
  };
  return Array.from({ length: depth(c, stack) }, (_, i) => ({
    attention: attention(c, `${blockOf(stack, i)}.0`, "SelfAttention", scores),
    crossAttention: stack === "decoder"
      ? attention(c, `${blockOf(stack, i)}.1`, "EncDecAttention", PLAIN)
      : undefined,
    feedForward: feedForward(c, stack, i, () => ordinal++),
  }));
}

function feedForward(c: Config, stack: Stack, layer: number, next: () => number): FeedForwardSpec {
  const base = feedForwardOf(stack, layer), norm = rms(c, `${base}.layer_norm`);
  if (!isSparse(c, stack, layer)) {
    return {
      kind: "dense",
      norm,
      fc1: { weight: `${base}.mlp.wi.weight` },
      fc2: { weight: `${base}.mlp.wo.weight` },
      activation: "relu",
    };
  }
  const router = `${base}.mlp.router.classifier`;
  return {
    kind: "sparse",
    norm,
    router: { weight: `${router}.weight`, bias: c.router_bias ? `${router}.bias` : undefined },
    expertLayer: next(),
    topK: 1,
    weighting: "probability",
    outputScale: 1,
    activation: "relu",
  };
}

function specOf(c: Config): ModelSpec {
  const encoder = layersOf(c, "encoder", 0);
  const sparse = encoder.filter((l) => l.feedForward.kind === "sparse").length;
  return {
    modelType: c.model_type,
    dModel: c.d_model,
    vocab: c.vocab_size,
    source: { kind: "prompt" },
    tokens: {
      pad: c.pad_token_id,
      eos: [c.eos_token_id],
      decoderStart: c.decoder_start_token_id ?? c.pad_token_id,
    },
    embedding: {
      table: "shared.weight",
      scale: 1,
      positions: { kind: "none" },
      maxPositions: c.n_positions,
    },
    encoder: { layers: encoder, norm: rms(c, "encoder.final_layer_norm") },
    decoder: {
      layers: layersOf(c, "decoder", sparse),
      // A tied output matrix has rows as long as embeddings, and wants its input that much shorter.
      norm: rms(c, "decoder.final_layer_norm", c.tie_word_embeddings ? c.d_model ** -0.5 : 1),
    },
    lmHead: "lm_head.weight",
    maxHidden: c.d_ff,
  };
}

function planOf(c: Config): ModelPlan {
  const tensors: TensorSpec[] = [matrix("shared.weight", c.vocab_size, c.d_model, "embedding")];
  const ignored = new Map([
    [`${blockOf("decoder", 0)}.1.EncDecAttention.relative_attention_bias.weight`, "unused"],
  ]);
  const head = matrix("lm_head.weight", c.vocab_size, c.d_model, "lm_head");
  const tiedHead = c.tie_word_embeddings ? { name: head.name, of: "shared.weight" } : undefined;
  if (tiedHead === undefined) tensors.push(head);
  const expertLayers: ExpertLayerSpec[] = [];
  for (const stack of ["encoder", "decoder"] as const) {
    ignored.set(`${stack}.embed_tokens.weight`, "tied to shared.weight");
    const buckets = c.relative_attention_num_buckets;
    tensors.push(matrix(tableOf(stack), buckets, c.num_heads, "exact"));
    for (let i = 0; i < depth(c, stack); i++) {
      tensors.push(...layerTensors(c, stack, i));
      if (isSparse(c, stack, i)) expertLayers.push(experts(c, stack, i));
    }
    tensors.push(vector(`${stack}.final_layer_norm.weight`, c.d_model));
  }
  const copies = embeddingCopies(c.tie_word_embeddings);
  return { modelType: c.model_type, tensors, expertLayers, ignored, tiedHead, copies };
}

function layerTensors(c: Config, stack: Stack, layer: number): TensorSpec[] {
  const block = blockOf(stack, layer), d = c.d_model, width = c.num_heads * c.d_kv;
  const names = stack === "encoder" ? ["SelfAttention"] : ["SelfAttention", "EncDecAttention"];
  const out = names.flatMap((name, i) => [
    ...["q", "k", "v"].map((p) => matrix(`${block}.${i}.${name}.${p}.weight`, width, d)),
    matrix(`${block}.${i}.${name}.o.weight`, d, width),
    vector(`${block}.${i}.layer_norm.weight`, d),
  ]);
  const mlp = `${feedForwardOf(stack, layer)}.mlp`, router = `${mlp}.router.classifier`;
  if (isSparse(c, stack, layer)) {
    out.push(matrix(`${router}.weight`, c.num_experts, d, "exact"));
    if (c.router_bias) out.push(vector(`${router}.bias`, c.num_experts));
  } else {
    out.push(matrix(`${mlp}.wi.weight`, c.d_ff, d), matrix(`${mlp}.wo.weight`, d, c.d_ff));
  }
  out.push(vector(`${feedForwardOf(stack, layer)}.layer_norm.weight`, d));
  return out;
}

function experts(c: Config, stack: Stack, layer: number): ExpertLayerSpec {
  return {
    stack,
    layer,
    count: c.num_experts,
    projections: [
      { name: "wi", rows: c.d_ff, cols: c.d_model, bias: false },
      { name: "wo", rows: c.d_model, cols: c.d_ff, bias: false },
    ],
    tensorNames: (expert, projection) => {
      const base = `${feedForwardOf(stack, layer)}.mlp.experts.expert_${expert}.${projection}`;
      return { weight: `${base}.weight`, bias: `${base}.bias` };
    },
  };
}
