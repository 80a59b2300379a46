/**
 * What fairseq's translation transformers share, as transformers stores them: pre-norm blocks with biases,
 * sinusoidal positions, one embedding. Their files name some tensors otherwise and say which layers are sparse.
 */
import { z } from "zod";
import type { ExpertLayerSpec, ModelPlan, Stack, TensorSpec } from "../base/plan.ts";
import type {
  AffineNames,
  AttentionSpec,
  FeedForwardSpec,
  LayerSpec,
  ModelSpec,
  NormSpec,
} from "../nn/spec.ts";
import { count } from "./config.ts";
import { affineTensors, embeddingCopies, matrix, vector } from "./tensors.ts";

/** LayerNorm's epsilon in the reference implementations (torch's default; not in config.json). */
const NORM_EPSILON = 1e-5;

const token = (id: number) => z.number().int().nonnegative().default(id);

/** Fields of config.json that decide shapes and meaning in every one of them. */
export const fairseqFields = {
  vocab_size: count,
  d_model: count.multipleOf(2),
  encoder_layers: count.max(1024),
  decoder_layers: count.max(1024),
  encoder_attention_heads: count,
  decoder_attention_heads: count,
  encoder_ffn_dim: count,
  decoder_ffn_dim: count,
  max_position_embeddings: count,
  activation_function: z.string().default("relu"),
  scale_embedding: z.boolean().default(true),
  tie_word_embeddings: z.boolean().default(true),
  pad_token_id: token(1),
  eos_token_id: token(2),
  decoder_start_token_id: token(2),
};
const fairseqConfig = z.looseObject({ model_type: z.string(), ...fairseqFields });
export type FairseqConfig = z.infer<typeof fairseqConfig>;

/** A feed-forward block that is not the dense one: how it runs (its norm aside), its trunk tensors, its experts. */
export interface SparseLayer {
  readonly spec: DistributiveOmit<FeedForwardSpec, "norm">;
  readonly tensors: readonly TensorSpec[];
  readonly experts: ExpertLayerSpec;
}
type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

/** Where two architectures differ. */
export interface FairseqLayout {
  /** Names inside a layer. */
  readonly crossAttention: string;
  readonly feedForwardNorm: string;
  /** What stands before fc1 and fc2 of a dense layer: "ffn." or nothing. */
  readonly dense: string;
  /** The sparse block of a layer (`ordinal`: how many came before it), or undefined where it is dense. */
  sparse(stack: Stack, layer: number, ordinal: number): SparseLayer | undefined;
}

/** Heads that do not divide the width, in words. */
export function headFaults(c: FairseqConfig): string[] {
  return (["encoder", "decoder"] as const).filter((s) =>
    c.d_model % c[`${s}_attention_heads`] !== 0
  )
    .map((s) => `d_model ${c.d_model} is no multiple of ${s}_attention_heads`);
}

const affine = (base: string): AffineNames => ({ weight: `${base}.weight`, bias: `${base}.bias` });
const norm = (base: string): NormSpec => ({
  kind: "layer",
  weight: `${base}.weight`,
  bias: `${base}.bias`,
  epsilon: NORM_EPSILON,
});

/** The plan and spec of a configuration under a layout. */
export function readFairseq(
  c: FairseqConfig,
  layout: FairseqLayout,
): { plan: ModelPlan; spec: ModelSpec } {
  const tensors: TensorSpec[] = [matrix("shared.weight", c.vocab_size, c.d_model, "embedding")];
  const ignored = new Map<string, string>();
  const head = matrix("lm_head.weight", c.vocab_size, c.d_model, "lm_head");
  const tiedHead = c.tie_word_embeddings ? { name: head.name, of: "shared.weight" } : undefined;
  if (tiedHead === undefined) tensors.push(head);
  const expertLayers: ExpertLayerSpec[] = [];
  const layers = (stack: Stack) =>
    Array.from({ length: c[`${stack}_layers`] }, (_, i) => {
      const sparse = layout.sparse(stack, i, expertLayers.length);
      if (sparse !== undefined) expertLayers.push(sparse.experts);
      tensors.push(...layerTensors(c, layout, { stack, i, sparse }));
      return layerSpec(c, layout, { stack, i, sparse });
    });
  const stackOf = (stack: Stack) => {
    ignored.set(`${stack}.embed_tokens.weight`, "tied to shared.weight");
    ignored.set(`${stack}.embed_positions.weights`, "computed");
    const made = layers(stack);
    tensors.push(...normTensors(`${stack}.layer_norm`, c.d_model));
    return { layers: made, norm: norm(`${stack}.layer_norm`) };
  };
  const encoder = stackOf("encoder"), decoder = stackOf("decoder");
  const copies = embeddingCopies(c.tie_word_embeddings);
  const plan = { modelType: c.model_type, tensors, expertLayers, ignored, tiedHead, copies };
  return { plan, spec: { ...modelSpec(c), encoder, decoder } };
}

function modelSpec(c: FairseqConfig): Omit<ModelSpec, "encoder" | "decoder"> {
  return {
    modelType: c.model_type,
    dModel: c.d_model,
    vocab: c.vocab_size,
    source: { kind: "language tokens" },
    tokens: {
      pad: c.pad_token_id,
      eos: [c.eos_token_id],
      decoderStart: c.decoder_start_token_id,
    },
    embedding: {
      table: "shared.weight",
      scale: c.scale_embedding ? Math.sqrt(c.d_model) : 1,
      positions: { kind: "sinusoidal", first: c.pad_token_id + 1, padding: c.pad_token_id },
      maxPositions: c.max_position_embeddings,
    },
    lmHead: "lm_head.weight",
    maxHidden: Math.max(c.encoder_ffn_dim, c.decoder_ffn_dim),
  };
}

interface Layer {
  readonly stack: Stack;
  readonly i: number;
  readonly sparse: SparseLayer | undefined;
}

function layerSpec(
  c: FairseqConfig,
  layout: FairseqLayout,
  { stack, i, sparse }: Layer,
): LayerSpec {
  const base = `${stack}.layers.${i}`, own = norm(`${base}.${layout.feedForwardNorm}`);
  const attention = (name: string) =>
    attentionSpec(`${base}.${name}`, c.d_model, c[`${stack}_attention_heads`]);
  return {
    attention: attention("self_attn"),
    crossAttention: stack === "decoder" ? attention(layout.crossAttention) : undefined,
    feedForward: sparse !== undefined ? { ...sparse.spec, norm: own } : {
      kind: "dense",
      norm: own,
      fc1: affine(`${base}.${layout.dense}fc1`),
      fc2: affine(`${base}.${layout.dense}fc2`),
      activation: "relu",
    },
  };
}

function attentionSpec(base: string, width: number, heads: number): AttentionSpec {
  return {
    kind: "grouped",
    heads,
    kvHeads: heads,
    headDim: width / heads,
    rotary: { kind: "none" },
    norm: norm(`${base}_layer_norm`),
    scores: { kind: "scaled" },
    query: affine(`${base}.q_proj`),
    key: affine(`${base}.k_proj`),
    value: affine(`${base}.v_proj`),
    output: affine(`${base}.out_proj`),
  };
}

function normTensors(base: string, length: number): TensorSpec[] {
  return [vector(`${base}.weight`, length), vector(`${base}.bias`, length)];
}

function layerTensors(c: FairseqConfig, layout: FairseqLayout, l: Layer): TensorSpec[] {
  const base = `${l.stack}.layers.${l.i}`, d = c.d_model, ffn = c[`${l.stack}_ffn_dim`];
  const out: TensorSpec[] = [];
  for (const name of l.stack === "encoder" ? ["self_attn"] : ["self_attn", layout.crossAttention]) {
    for (const p of ["q_proj", "k_proj", "v_proj", "out_proj"]) {
      out.push(...affineTensors(`${base}.${name}.${p}`, d, d));
    }
    out.push(...normTensors(`${base}.${name}_layer_norm`, d));
  }
  out.push(
    ...l.sparse?.tensors ?? [
      ...affineTensors(`${base}.${layout.dense}fc1`, ffn, d),
      ...affineTensors(`${base}.${layout.dense}fc2`, d, ffn),
    ],
    ...normTensors(`${base}.${layout.feedForwardNorm}`, d),
  );
  return out;
}
