/** Which architectures there are, by model_type. To add one: write its file, add its line. */
import { MoqeError } from "../base/errors.ts";
import type { Architecture } from "./contract.ts";
import { gptOss } from "./gpt_oss.ts";
import { graniteMoe } from "./granitemoe.ts";
import { m2m100 } from "./m2m_100.ts";
import { mixtral } from "./mixtral.ts";
import { nllbMoe } from "./nllb_moe.ts";
import { olmoe } from "./olmoe.ts";
import { qwen3Moe } from "./qwen3_moe.ts";
import { switchTransformers } from "./switch_transformers.ts";

const ARCHITECTURES: readonly Architecture[] = [
  nllbMoe,
  m2m100,
  switchTransformers,
  qwen3Moe,
  olmoe,
  mixtral,
  graniteMoe,
  gptOss,
];

/** The architecture of a config.json. Throws MoqeError `unsupported` with what there is. */
export function architectureOf(config: unknown): Architecture {
  const modelType = (config as { model_type?: unknown } | null)?.model_type;
  const found = ARCHITECTURES.find((a) => a.modelType === modelType);
  if (found !== undefined) return found;
  throw new MoqeError("unsupported", {
    action: "load a model",
    rule: "its config.json must have a known model_type",
    observed: JSON.stringify(modelType),
    remedy: `known: ${ARCHITECTURES.map((a) => a.modelType).join(", ")}`,
  });
}
