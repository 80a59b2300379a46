/**
 * NLLB-MoE as released (facebook/nllb-moe-54b): configuration, which layers are sparse, names of experts. Beyond it,
 * `expert_bases` B: an expert's two matrices are differences, added to those of base e % B in the trunk.
 */
import { z } from "zod";
import type { Stack } from "../base/plan.ts";
import { count, parseConfig, refuseOptions } from "./config.ts";
import type { Architecture } from "./contract.ts";
import { fairseqFields, headFaults, readFairseq, type SparseLayer } from "./fairseq.ts";
import { matrix, vector } from "./tensors.ts";

const config = z.looseObject({
  model_type: z.literal("nllb-moe"),
  ...fairseqFields,
  num_experts: count.min(2).max(65536),
  encoder_sparse_step: z.number().int().nonnegative(),
  decoder_sparse_step: z.number().int().nonnegative(),
  moe_token_dropout: z.number().min(0).max(1).default(0.2),
  moe_eval_capacity_token_fraction: z.number().default(1),
  batch_prioritized_routing: z.boolean().default(false),
  second_expert_policy: z.string().default("all"),
  // Without dropped tokens (capacity fraction 1) normalizing before or after dropping is one thing.
  normalize_router_prob_before_dropping: z.boolean().default(false),
  router_bias: z.boolean().default(false),
  router_dtype: z.string().default("float32"),
  expert_bases: z.number().int().nonnegative().default(0),
});
type Config = z.infer<typeof config>;

/** Options that change results, each with the one value that is run. */
const ONLY = {
  activation_function: "relu",
  moe_eval_capacity_token_fraction: 1,
  batch_prioritized_routing: false,
  second_expert_policy: "all",
  router_dtype: "float32",
};

export const nllbMoe: Architecture = {
  modelType: "nllb-moe",
  read(json) {
    const c = parseConfig(config, json, "nllb-moe");
    refuseOptions(c, ONLY, [...headFaults(c), ...baseFaults(c)]);
    return readFairseq(c, {
      crossAttention: "cross_attention",
      feedForwardNorm: "ff_layer_norm",
      dense: "ffn.",
      sparse: (stack, layer, ordinal) =>
        isSparse(layer, c[`${stack}_sparse_step`]) ? sparse(c, stack, layer, ordinal) : undefined,
    });
  },
};

function baseFaults(c: Config): string[] {
  if (c.num_experts % Math.max(1, c.expert_bases) === 0) return [];
  return [`expert_bases is ${c.expert_bases}, which does not divide num_experts, ${c.num_experts}`];
}

/** Layer i is sparse when (i + 1) % step == 0; step 0 means never. */
function isSparse(layer: number, step: number): boolean {
  return step > 0 && (layer + 1) % step === 0;
}

function sparse(c: Config, stack: Stack, layer: number, ordinal: number): SparseLayer {
  const ffn = `${stack}.layers.${layer}.ffn`, d = c.d_model, hidden = c[`${stack}_ffn_dim`];
  const router = {
    weight: `${ffn}.router.classifier.weight`,
    bias: `${ffn}.router.classifier.bias`,
  };
  const projections = [
    { name: "fc1", rows: hidden, cols: d, bias: true },
    { name: "fc2", rows: d, cols: hidden, bias: true },
  ];
  const baseName = (base: number, projection: string) =>
    `${ffn}.bases.base_${base}.${projection}.weight`;
  const bases = Array.from({ length: c.expert_bases }, (_, b) => b);
  return {
    spec: {
      kind: "sparse",
      router: c.router_bias ? router : { weight: router.weight },
      bases: bases.map((b) => ({ fc1: baseName(b, "fc1"), fc2: baseName(b, "fc2") })),
      expertLayer: ordinal,
      topK: 2,
      weighting: "share",
      outputScale: 1 - c.moe_token_dropout,
      activation: "relu",
    },
    tensors: [
      matrix(router.weight, c.num_experts, d, "exact"),
      ...c.router_bias ? [vector(router.bias, c.num_experts)] : [],
      ...bases.flatMap((b) =>
        projections.map(({ name, rows, cols }) => matrix(baseName(b, name), rows, cols))
      ),
    ],
    experts: {
      stack,
      layer,
      count: c.num_experts,
      projections,
      tensorNames: (expert, projection) => {
        const base = `${ffn}.experts.expert_${expert}.${projection}`;
        return { weight: `${base}.weight`, bias: `${base}.bias` };
      },
      bases: bases.length === 0 ? undefined : { count: bases.length, tensorName: baseName },
    },
  };
}
