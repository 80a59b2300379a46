/** The float64 twin of every operation: what it means. */
import type { OperationMap } from "../../src/backend/contract.ts";
import { attentionTwin, keptTwin } from "./attention.ts";
import { clampTwin } from "./clamp.ts";
import { expertTwin } from "./experts.ts";
import { gateTwin } from "./gate.ts";
import { embedTwin, layerNormTwin, linearTwin, rmsNormTwin } from "./linear.ts";
import { rotaryTwin } from "./rotary.ts";
import { combineTwin, routerTwin, vocabTwin } from "./router.ts";

/** One an operation: an operation without a twin does not compile. */
export const TWINS = {
  embed: embedTwin,
  layerNorm: layerNormTwin,
  rmsNorm: rmsNormTwin,
  linear: linearTwin,
  gate: gateTwin,
  clamp: clampTwin,
  rotary: rotaryTwin,
  segmentAttention: attentionTwin,
  pagedAttention: attentionTwin,
  storeKv: keptTwin,
  router: routerTwin,
  experts: expertTwin,
  combine: combineTwin,
  vocabTopK: vocabTwin,
} satisfies Record<keyof OperationMap, (...operands: never[]) => unknown>;
