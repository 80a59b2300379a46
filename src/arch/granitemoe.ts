/** Granite 3 MoE: four multipliers, and experts that are stacked in one tensor. */
import { z } from "zod";
import { count, parseConfig, refuseOptions } from "./config.ts";
import type { Architecture } from "./contract.ts";
import { decoderFaults, decoderFields, headDimFaults, headsOf } from "./decoder_layout.ts";
import { readDecoder } from "./decoder_only.ts";
import { rotaryOf } from "./rotary.ts";

const multiplier = z.number().positive().default(1);

const config = z.looseObject({
  model_type: z.literal("granitemoe"),
  ...decoderFields,
  num_local_experts: count.max(65536).default(8),
  num_experts_per_tok: count.default(2),
  embedding_multiplier: multiplier,
  attention_multiplier: multiplier,
  residual_multiplier: multiplier,
  logits_scaling: multiplier,
  position_embedding_type: z.string().default("rope"),
  eos_token_id: decoderFields.eos_token_id.default(2),
});
type Config = z.infer<typeof config>;

export const graniteMoe: Architecture = {
  modelType: "granitemoe",
  read(json) {
    const c = parseConfig(config, json, "granitemoe");
    const only = { hidden_act: "silu", position_embedding_type: "rope" };
    refuseOptions(c, only, [...headDimFaults(c), ...decoderFaults(c, c.num_local_experts)]);
    return readDecoder(c, {
      rotary: rotaryOf(c, headsOf(c).headDim),
      scoreScale: c.attention_multiplier,
      embeddingScale: c.embedding_multiplier,
      residualScale: c.residual_multiplier,
      logitScale: 1 / c.logits_scaling,
      sparse: (layer) => sparse(c, layer),
    });
  },
};

function sparse(c: Config, layer: number) {
  const moe = `layers.${layer}.block_sparse_moe`, width = c.intermediate_size, d = c.hidden_size;
  return {
    router: { weight: `${moe}.router.layer.weight` },
    experts: c.num_local_experts,
    width,
    // A softmax over the chosen logits is their shares of the softmax over all.
    weighting: "share",
    gating: "gated silu",
    bias: false,
    parts: (index: number, projection: "gate_up" | "down") => [
      projection === "down"
        ? {
          tensor: `${moe}.output_linear.weight`,
          shape: [c.num_local_experts, d, width],
          index,
        }
        : {
          tensor: `${moe}.input_linear.weight`,
          shape: [c.num_local_experts, 2 * width, d],
          index,
        },
    ],
  } as const;
}
