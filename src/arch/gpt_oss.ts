/** gpt-oss: attention sinks, windows in every other layer, clamped gates, stacked experts in MXFP4 or as floats. */
import { z } from "zod";
import type { TensorPart } from "../base/plan.ts";
import { count, parseConfig, refuseOptions } from "./config.ts";
import type { Architecture } from "./contract.ts";
import { decoderFaults, decoderFields, headsOf } from "./decoder_layout.ts";
import { readDecoder } from "./decoder_only.ts";
import { rotaryOf } from "./rotary.ts";

const YARN = {
  rope_type: "yarn",
  factor: 32,
  beta_fast: 32,
  beta_slow: 1,
  truncate: false,
  original_max_position_embeddings: 4096,
};

const config = z.looseObject({
  model_type: z.literal("gpt_oss"),
  ...decoderFields,
  rms_norm_eps: z.number().positive().default(1e-5),
  head_dim: count.default(64),
  attention_bias: z.boolean().default(true),
  num_key_value_heads: count.nullable().default(8),
  num_local_experts: count.max(65536).default(128),
  num_experts_per_tok: count.default(4),
  sliding_window: count.default(128),
  layer_types: z.array(z.enum(["sliding_attention", "full_attention"])).nullish(),
  swiglu_limit: z.number().default(7),
});
type Config = z.infer<typeof config>;

export const gptOss: Architecture = {
  modelType: "gpt_oss",
  read(json) {
    const c = parseConfig(config, json, "gpt_oss");
    const faults = decoderFaults(c, c.num_local_experts, "mxfp4");
    if (c.layer_types && c.layer_types.length !== c.num_hidden_layers) {
      faults.push(`layer_types are ${c.layer_types.length} of ${c.num_hidden_layers} layers`);
    }
    refuseOptions(c, { hidden_act: "silu", swiglu_limit: 7 }, faults);
    return readDecoder(c, {
      rotary: rotaryOf(c, headsOf(c).headDim, { theta: 150000, scaling: YARN }),
      hasSinks: true,
      window: (layer) => isSliding(c, layer) ? c.sliding_window : undefined,
      sparse: (layer) => sparse(c, layer),
    });
  },
};

function isSliding(c: Config, layer: number): boolean {
  return c.layer_types ? c.layer_types[layer] === "sliding_attention" : layer % 2 === 0;
}

function sparse(c: Config, layer: number) {
  const mlp = `layers.${layer}.mlp`;
  return {
    router: { weight: `${mlp}.router.weight`, bias: `${mlp}.router.bias` },
    experts: c.num_local_experts,
    width: c.intermediate_size,
    weighting: "share",
    gating: "clamped gated silu",
    bias: true,
    parts: (index: number, projection: "gate_up" | "down", of: "weight" | "bias") =>
      expertParts(c, `${mlp}.experts.${projection}_proj`, { index, projection, of }),
  } as const;
}

/** Gate and up lie in turn: gate in even columns (of MXFP4: rows), up in odd ones. */
function expertParts(
  c: Config,
  name: string,
  { index, projection, of }: { index: number; projection: string; of: "weight" | "bias" },
): TensorPart[] {
  const E = c.num_local_experts, d = c.hidden_size, width = c.intermediate_size;
  const rows = projection === "down" ? d : 2 * width, cols = projection === "down" ? width : d;
  const part = (): TensorPart => {
    if (of === "bias") return { tensor: `${name}_bias`, shape: [E, rows], index };
    if (c.quantization_config) {
      return { tensor: name, shape: [E, rows, cols], index, encoding: "mxfp4" };
    }
    return { tensor: name, shape: [E, cols, rows], index, transposed: true };
  };
  if (projection === "down") return [part()];
  return [0, 1].map((first) => ({ ...part(), every: { first, step: 2 } }));
}
