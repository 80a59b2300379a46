/** What an architecture file provides. */
import type { ModelPlan } from "../base/plan.ts";
import type { ModelSpec } from "../nn/spec.ts";

export interface Architecture {
  /** model_type as config.json writes it. */
  readonly modelType: string;
  /**
   * Reads config.json whole. Throws MoqeError `unsupported` that names every option moqe does not run,
   * `corrupt` for a configuration that contradicts itself.
   */
  read(config: unknown): { plan: ModelPlan; spec: ModelSpec };
}
