/** M2M100 and NLLB-200 dense: every layer has one feed-forward block and no router. */
import { z } from "zod";
import { parseConfig, refuseOptions } from "./config.ts";
import type { Architecture } from "./contract.ts";
import { fairseqFields, type FairseqLayout, headFaults, readFairseq } from "./fairseq.ts";

const config = z.looseObject({ model_type: z.literal("m2m_100"), ...fairseqFields });

const layout: FairseqLayout = {
  crossAttention: "encoder_attn",
  feedForwardNorm: "final_layer_norm",
  dense: "",
  sparse: () => undefined,
};

export const m2m100: Architecture = {
  modelType: "m2m_100",
  read(json) {
    const c = parseConfig(config, json, "m2m_100");
    refuseOptions(c, { activation_function: "relu" }, headFaults(c));
    return readFairseq(c, layout);
  },
};
