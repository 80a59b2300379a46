/** Qwen3-MoE (Qwen3-30B-A3B and its relatives): norms of q and k a head, dense layers between sparse ones. */
import { z } from "zod";
import { count, parseConfig, refuseOptions } from "./config.ts";
import type { Architecture } from "./contract.ts";
import { decoderFaults, decoderFields, headsOf } from "./decoder_layout.ts";
import { readDecoder } from "./decoder_only.ts";
import { separateExperts } from "./decoder_tensors.ts";
import { rotaryOf } from "./rotary.ts";

const config = z.looseObject({
  model_type: z.literal("qwen3_moe"),
  ...decoderFields,
  num_key_value_heads: count.nullable().default(4),
  decoder_sparse_step: count.default(1),
  mlp_only_layers: z.array(z.number().int().nonnegative()).nullish(),
  moe_intermediate_size: count.default(768),
  num_experts: z.number().int().nonnegative().max(65536).default(128),
  num_experts_per_tok: count.default(8),
  norm_topk_prob: z.boolean().default(false),
  use_sliding_window: z.boolean().default(false),
  sliding_window: count.nullable().default(4096),
});
type Config = z.infer<typeof config>;

/** Multi-token prediction heads and vision towers: nothing here runs them. */
const LEFT_OUT = [
  { prefix: "mtp.", reason: "multi-token prediction head" },
  { prefix: "visual.", reason: "vision tower" },
];

export const qwen3Moe: Architecture = {
  modelType: "qwen3_moe",
  read(json) {
    const c = parseConfig(config, json, "qwen3_moe");
    refuseOptions(c, { hidden_act: "silu" }, decoderFaults(c, mostExperts(c)));
    const window = c.use_sliding_window ? c.sliding_window ?? undefined : undefined;
    return readDecoder(c, {
      rotary: rotaryOf(c, headsOf(c).headDim),
      qkNorm: "head",
      window: () => window,
      sparse: (layer) => isSparse(c, layer) ? sparse(c, layer) : undefined,
      leftOut: LEFT_OUT,
    });
  },
};

function isSparse(c: Config, layer: number): boolean {
  return !c.mlp_only_layers?.includes(layer) && c.num_experts > 0 &&
    (layer + 1) % c.decoder_sparse_step === 0;
}

/** Experts to choose from; any number where no layer chooses. */
function mostExperts(c: Config): number {
  const layers = Array.from({ length: c.num_hidden_layers }, (_, layer) => layer);
  return layers.some((layer) => isSparse(c, layer)) ? c.num_experts : Infinity;
}

function sparse(c: Config, layer: number) {
  const mlp = `layers.${layer}.mlp`, width = c.moe_intermediate_size;
  return {
    router: { weight: `${mlp}.gate.weight` },
    experts: c.num_experts,
    width,
    weighting: c.norm_topk_prob ? "share" : "probability",
    gating: "gated silu",
    bias: false,
    parts: separateExperts(
      (expert) => `${mlp}.experts.${expert}`,
      { gate: "gate_proj", up: "up_proj", down: "down_proj" },
      { width, d: c.hidden_size },
    ),
  } as const;
}
