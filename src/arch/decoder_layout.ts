/** Configuration of decoder-only transformers, and where their families differ. */
import { z } from "zod";
import type { ModelPlan, TensorPart } from "../base/plan.ts";
import type { Gating } from "../backend/contract.ts";
import type { AffineNames, RotarySpec } from "../nn/spec.ts";
import { count } from "./config.ts";
import { rotaryFaults, rotaryFields } from "./rotary.ts";

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
  quantization_config: z.looseObject({ quant_method: z.string().optional() }).nullish(),
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

/**
 * What contradicts itself or cannot be run of what all of them share, in words. `quantized`: the one quant_method whose
 * tensors are read.
 */
export function decoderFaults(c: DecoderConfig, experts: number, quantized?: string): string[] {
  const { heads, kvHeads, headDim } = headsOf(c);
  const faults = rotaryFaults(c, headDim);
  if (heads % kvHeads !== 0) {
    faults.push(`num_key_value_heads ${kvHeads} does not divide num_attention_heads ${heads}`);
  }
  if (!c.head_dim && c.hidden_size % heads !== 0) {
    faults.push(`hidden_size ${c.hidden_size} is no multiple of num_attention_heads`);
  }
  if (c.num_experts_per_tok > Math.min(16, experts)) {
    faults.push(
      `num_experts_per_tok is ${c.num_experts_per_tok}, at most 16 of ${experts} are run`,
    );
  }
  const method = c.quantization_config?.quant_method;
  if (c.quantization_config && (method === undefined || method !== quantized)) {
    faults.push(
      `quantization_config is of ${method ?? "no quant_method"}, ${
        quantized === undefined ? "only weights as floats are read" : `only ${quantized} is read`
      }`,
    );
  }
  if (c.pad_token_id && c.pad_token_id >= c.vocab_size) {
    faults.push(`pad_token_id ${c.pad_token_id} is not below vocab_size ${c.vocab_size}`);
  }
  return faults;
}

/** A family whose heads have no width of their own: a head_dim that says otherwise, in words. */
export function headDimFaults(c: DecoderConfig): string[] {
  const width = c.hidden_size / c.num_attention_heads;
  if (c.head_dim === undefined || c.head_dim === null || c.head_dim === width) return [];
  return [`head_dim is ${c.head_dim}, only hidden_size / num_attention_heads is run`];
}
