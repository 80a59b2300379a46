/** NLLB-MoE as released (facebook/nllb-moe-54b): configuration, layer plan, weight names. */
import { z } from "zod";
import { MoqeError } from "../base/errors.ts";
import type { ProjectionShape } from "../base/layout.ts";
import type { ExpertLayerSpec, ModelPlan, Stack, TensorSpec } from "../base/plan.ts";
import type {
  AffineNames,
  AttentionSpec,
  DecoderLayerSpec,
  EncoderLayerSpec,
  FeedForwardSpec,
  ModelSpec,
} from "../nn/spec.ts";
import type { Architecture } from "./contract.ts";

const count = z.number().int().positive().max(1 << 20);
const config = z.looseObject({
  model_type: z.literal("nllb-moe"),
  vocab_size: count,
  d_model: count.multipleOf(2),
  encoder_layers: count.max(1024),
  decoder_layers: count.max(1024),
  encoder_attention_heads: count,
  decoder_attention_heads: count,
  encoder_ffn_dim: count,
  decoder_ffn_dim: count,
  num_experts: count.min(2).max(65536),
  encoder_sparse_step: z.number().int().nonnegative(),
  decoder_sparse_step: z.number().int().nonnegative(),
  max_position_embeddings: count,
  activation_function: z.string().default("relu"),
  moe_token_dropout: z.number().min(0).max(1).default(0.2),
  moe_eval_capacity_token_fraction: z.number().default(1),
  batch_prioritized_routing: z.boolean().default(false),
  second_expert_policy: z.string().default("all"),
  // Without dropped tokens (capacity fraction 1) normalizing before or after dropping is one thing.
  normalize_router_prob_before_dropping: z.boolean().default(false),
  router_bias: z.boolean().default(false),
  router_dtype: z.string().default("float32"),
  scale_embedding: z.boolean().default(true),
  tie_word_embeddings: z.boolean().default(true),
  pad_token_id: z.number().int().nonnegative().default(1),
  bos_token_id: z.number().int().nonnegative().default(0),
  eos_token_id: z.number().int().nonnegative().default(2),
  decoder_start_token_id: z.number().int().nonnegative().default(2),
});
type Config = z.infer<typeof config>;

/** LayerNorm's epsilon in the reference implementation (torch's default; not in config.json). */
const NORM_EPSILON = 1e-5;

export const nllbMoe: Architecture = {
  modelType: "nllb-moe",
  read(json) {
    const parsed = config.safeParse(json);
    if (!parsed.success) {
      throw new MoqeError("corrupt", {
        action: "read config.json of an nllb-moe model",
        rule: parsed.error.issues.map((i) => `${i.path.join(".")} ${i.message}`).join("; "),
      });
    }
    refuseUnsupported(parsed.data);
    const names = layerNames(parsed.data);
    return { plan: planOf(parsed.data), spec: specOf(parsed.data, names) };
  },
};

/** Options that change results and that moqe does not run, all named in one error. */
function refuseUnsupported(c: Config): void {
  const faults: string[] = [];
  const only = (option: keyof Config, wanted: unknown) => {
    if (c[option] !== wanted) {
      faults.push(
        `${String(option)} is ${JSON.stringify(c[option])}, only ${JSON.stringify(wanted)} is run`,
      );
    }
  };
  only("activation_function", "relu");
  only("moe_eval_capacity_token_fraction", 1);
  only("batch_prioritized_routing", false);
  only("second_expert_policy", "all");
  only("router_dtype", "float32");
  for (const stack of ["encoder", "decoder"] as const) {
    if (c.d_model % c[`${stack}_attention_heads`] !== 0) {
      faults.push(`d_model ${c.d_model} is no multiple of ${stack}_attention_heads`);
    }
  }
  if (faults.length > 0) {
    throw new MoqeError("unsupported", {
      action: "run this nllb-moe model",
      rule: faults.join("; "),
    });
  }
}

/** Layer i is sparse when (i + 1) % step == 0; step 0 means never. */
function isSparse(layer: number, step: number): boolean {
  return step > 0 && (layer + 1) % step === 0;
}

const affine = (base: string): AffineNames => ({ weight: `${base}.weight`, bias: `${base}.bias` });

function attentionNames(base: string): AttentionSpec {
  return {
    norm: affine(`${base}_layer_norm`),
    query: affine(`${base}.q_proj`),
    key: affine(`${base}.k_proj`),
    value: affine(`${base}.v_proj`),
    output: affine(`${base}.out_proj`),
  };
}

interface Names {
  encoder: EncoderLayerSpec[];
  decoder: DecoderLayerSpec[];
}

function layerNames(c: Config): Names {
  let ordinal = 0;
  const feedForward = (stack: Stack, i: number): FeedForwardSpec => {
    const base = `${stack}.layers.${i}`;
    const norm = affine(`${base}.ff_layer_norm`);
    if (!isSparse(i, c[`${stack}_sparse_step`])) {
      const ffn = `${base}.ffn`;
      return {
        kind: "dense",
        norm,
        fc1: affine(`${ffn}.fc1`),
        fc2: affine(`${ffn}.fc2`),
        activation: "relu",
      };
    }
    const router = affine(`${base}.ffn.router.classifier`);
    return {
      kind: "sparse",
      norm,
      router: c.router_bias ? router : { weight: router.weight },
      expertLayer: ordinal++,
      topK: 2,
      weighting: "share",
      outputScale: 1 - c.moe_token_dropout,
      activation: "relu",
    };
  };
  const encoder = Array.from({ length: c.encoder_layers }, (_, i) => ({
    selfAttention: attentionNames(`encoder.layers.${i}.self_attn`),
    feedForward: feedForward("encoder", i),
  }));
  const decoder = Array.from({ length: c.decoder_layers }, (_, i) => ({
    selfAttention: attentionNames(`decoder.layers.${i}.self_attn`),
    crossAttention: attentionNames(`decoder.layers.${i}.cross_attention`),
    feedForward: feedForward("decoder", i),
  }));
  return { encoder, decoder };
}

function specOf(c: Config, names: Names): ModelSpec {
  return {
    modelType: c.model_type,
    dModel: c.d_model,
    vocab: c.vocab_size,
    encoderHeads: c.encoder_attention_heads,
    decoderHeads: c.decoder_attention_heads,
    normEpsilon: NORM_EPSILON,
    tokens: {
      pad: c.pad_token_id,
      bos: c.bos_token_id,
      eos: c.eos_token_id,
      decoderStart: c.decoder_start_token_id,
    },
    embedding: {
      table: "shared.weight",
      lmHead: "lm_head.weight",
      scale: c.scale_embedding ? Math.sqrt(c.d_model) : 1,
      firstPosition: c.pad_token_id + 1,
      paddingRow: c.pad_token_id,
      maxPositions: c.max_position_embeddings,
    },
    encoder: { layers: names.encoder, norm: affine("encoder.layer_norm") },
    decoder: { layers: names.decoder, norm: affine("decoder.layer_norm") },
    maxHidden: Math.max(c.encoder_ffn_dim, c.decoder_ffn_dim),
  };
}

function planOf(c: Config): ModelPlan {
  const tensors: TensorSpec[] = [{
    name: "shared.weight",
    role: "embedding",
    shape: [c.vocab_size, c.d_model],
  }];
  const ignored = new Map<string, string>();
  if (c.tie_word_embeddings) ignored.set("lm_head.weight", "tied to shared.weight");
  else tensors.push({ name: "lm_head.weight", role: "lm_head", shape: [c.vocab_size, c.d_model] });
  for (const stack of ["encoder", "decoder"] as const) {
    ignored.set(`${stack}.embed_tokens.weight`, "tied to shared.weight");
    ignored.set(`${stack}.embed_positions.weights`, "computed");
    for (let i = 0; i < c[`${stack}_layers`]; i++) tensors.push(...layerTensors(c, stack, i));
    tensors.push(...normTensors(`${stack}.layer_norm`, c.d_model));
  }
  return { modelType: c.model_type, tensors, expertLayers: expertLayers(c), ignored };
}

const vector = (name: string, length: number): TensorSpec => ({
  name,
  role: "vector",
  shape: [length],
});

function normTensors(base: string, length: number): TensorSpec[] {
  return [vector(`${base}.weight`, length), vector(`${base}.bias`, length)];
}

function linearTensors(base: string, rows: number, cols: number): TensorSpec[] {
  return [
    { name: `${base}.weight`, role: "matrix", shape: [rows, cols] },
    vector(`${base}.bias`, rows),
  ];
}

function layerTensors(c: Config, stack: Stack, i: number): TensorSpec[] {
  const base = `${stack}.layers.${i}`, d = c.d_model, ffn = c[`${stack}_ffn_dim`];
  const out: TensorSpec[] = [];
  for (const attention of stack === "encoder" ? ["self_attn"] : ["self_attn", "cross_attention"]) {
    for (const p of ["q_proj", "k_proj", "v_proj", "out_proj"]) {
      out.push(...linearTensors(`${base}.${attention}.${p}`, d, d));
    }
    out.push(...normTensors(`${base}.${attention}_layer_norm`, d));
  }
  if (isSparse(i, c[`${stack}_sparse_step`])) {
    const router = `${base}.ffn.router.classifier`;
    out.push({ name: `${router}.weight`, role: "router", shape: [c.num_experts, d] });
    if (c.router_bias) out.push(vector(`${router}.bias`, c.num_experts));
  } else {
    out.push(
      ...linearTensors(`${base}.ffn.fc1`, ffn, d),
      ...linearTensors(`${base}.ffn.fc2`, d, ffn),
    );
  }
  out.push(...normTensors(`${base}.ff_layer_norm`, d));
  return out;
}

function expertLayers(c: Config): ExpertLayerSpec[] {
  const out: ExpertLayerSpec[] = [];
  for (const stack of ["encoder", "decoder"] as const) {
    const ffn = c[`${stack}_ffn_dim`];
    const projections: ProjectionShape[] = [
      { name: "fc1", rows: ffn, cols: c.d_model, bias: true },
      { name: "fc2", rows: c.d_model, cols: ffn, bias: true },
    ];
    for (let layer = 0; layer < c[`${stack}_layers`]; layer++) {
      if (!isSparse(layer, c[`${stack}_sparse_step`])) continue;
      out.push({
        stack,
        layer,
        count: c.num_experts,
        projections,
        tensorNames: (expert, projection) =>
          affine(`${stack}.layers.${layer}.ffn.experts.expert_${expert}.${projection}`),
      });
    }
  }
  return out;
}
