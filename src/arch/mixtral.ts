/** Mixtral: two of a few wide experts in every layer, an optional sliding window. */
import { z } from "zod";
import { count, parseConfig, refuseOptions } from "./config.ts";
import type { Architecture } from "./contract.ts";
import { decoderFaults, decoderFields, headsOf } from "./decoder_layout.ts";
import { readDecoder } from "./decoder_only.ts";
import { separateExperts } from "./decoder_tensors.ts";
import { rotaryOf } from "./rotary.ts";

const config = z.looseObject({
  model_type: z.literal("mixtral"),
  ...decoderFields,
  rms_norm_eps: z.number().positive().default(1e-5),
  num_key_value_heads: count.nullable().default(8),
  num_local_experts: count.max(65536).default(8),
  num_experts_per_tok: count.default(2),
  sliding_window: count.nullish(),
  eos_token_id: decoderFields.eos_token_id.default(2),
});
type Config = z.infer<typeof config>;

export const mixtral: Architecture = {
  modelType: "mixtral",
  read(json) {
    // The reference's attention has no biases, whatever the configuration says.
    const c = { ...parseConfig(config, json, "mixtral"), attention_bias: false };
    refuseOptions(c, { hidden_act: "silu" }, decoderFaults(c, c.num_local_experts));
    return readDecoder(c, {
      rotary: rotaryOf(c, headsOf(c).headDim, { theta: 1e6 }),
      window: () => c.sliding_window ?? undefined,
      sparse: (layer) => sparse(c, layer),
    });
  },
};

function sparse(c: Config, layer: number) {
  const moe = `layers.${layer}.block_sparse_moe`, width = c.intermediate_size;
  return {
    router: { weight: `${moe}.gate.weight` },
    experts: c.num_local_experts,
    width,
    weighting: "share",
    gating: "gated silu",
    bias: false,
    parts: separateExperts(
      (expert) => `${moe}.experts.${expert}`,
      { gate: "w1", up: "w3", down: "w2" },
      { width, d: c.hidden_size },
    ),
  } as const;
}
