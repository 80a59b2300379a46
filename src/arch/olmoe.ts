/** OLMoE: norms of q and k over the whole projection, an optional limit of q, k and v, every layer sparse. */
import { z } from "zod";
import { count, parseConfig, refuseOptions } from "./config.ts";
import type { Architecture } from "./contract.ts";
import { decoderFaults, decoderFields, headDimFaults, headsOf } from "./decoder_layout.ts";
import { readDecoder } from "./decoder_only.ts";
import { separateExperts } from "./decoder_tensors.ts";
import { rotaryOf } from "./rotary.ts";

const config = z.looseObject({
  model_type: z.literal("olmoe"),
  ...decoderFields,
  rms_norm_eps: z.number().positive().default(1e-5),
  num_experts: count.max(65536).default(64),
  num_experts_per_tok: count.default(8),
  norm_topk_prob: z.boolean().default(false),
  clip_qkv: z.number().positive().nullish(),
  eos_token_id: decoderFields.eos_token_id.default(50279),
});
type Config = z.infer<typeof config>;

export const olmoe: Architecture = {
  modelType: "olmoe",
  read(json) {
    const c = parseConfig(config, json, "olmoe");
    const faults = [...headDimFaults(c), ...decoderFaults(c, c.num_experts)];
    refuseOptions(c, { hidden_act: "silu" }, faults);
    return readDecoder(c, {
      rotary: rotaryOf(c, headsOf(c).headDim),
      qkNorm: "projection",
      clamp: c.clip_qkv ?? undefined,
      sparse: (layer) => sparse(c, layer),
    });
  },
};

function sparse(c: Config, layer: number) {
  const mlp = `layers.${layer}.mlp`, width = c.intermediate_size;
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
