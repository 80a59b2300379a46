/** A manifest, a fetcher and a backend become a model that runs within its budget. */
import type { ModelPlan } from "../base/plan.ts";
import type { Ledger } from "../base/ledger.ts";
import { architectureOf } from "../arch/registry.ts";
import { HEAP_MOST_BYTES } from "../backend/cpu/heap.ts";
import { cpuScratchBytes } from "../backend/cpu/scratch.ts";
import type { Backend, KvBits } from "../backend/contract.ts";
import type { PolicyFactory } from "../experts/contract.ts";
import { horizon } from "../experts/policy/horizon.ts";
import { ExpertResidency } from "../experts/residency.ts";
import type { InputObserver } from "../nn/context.ts";
import { SequenceModel } from "../nn/model.ts";
import type { ModelSpec } from "../nn/spec.ts";
import { checkManifest, type LoadOptions, Trunk } from "../nn/trunk.ts";
import { Workspace } from "../nn/workspace.ts";
import type { BlockFetcher } from "../store/contract.ts";
import type { Manifest } from "../store/manifest.ts";
import type { Shared } from "./shares.ts";
import { type BudgetPlan, divideBudget, passRows, scratchShape, tablePages } from "./budget.ts";

export interface AssembleOptions extends LoadOptions {
  /** What a CPU shares its products over, for what its scratch takes; 1 where it is not given. */
  readonly threads?: number | undefined;
  maxBatchTokens: number;
  maxSourceTokens: number;
  /** Longest sequence of a model without an encoder. */
  maxContextTokens?: number | undefined;
  /** Of an element of K/V; 16 unless given. */
  kvBits?: KvBits | undefined;
  /** Fewer slots than the budget would hold, for tests and benchmarks. */
  maxSlots?: number | undefined;
  policy?: PolicyFactory | undefined;
  /** Share of the slots that is the encoder's by right; the policy decides where left out. */
  encoderShare?: number | undefined;
  /** Sees what sparse layers route, for calibration. */
  observer?: InputObserver | undefined;
  /** Models that the budget is shared with. */
  shared?: Pick<Shared, "models"> | undefined;
}

export interface Assembly {
  readonly plan: ModelPlan;
  readonly spec: ModelSpec;
  readonly budget: BudgetPlan;
  readonly model: SequenceModel;
  readonly residency: ExpertResidency;
  /** Gives every device byte back; the backend stays its caller's. */
  free(): void;
}

/**
 * Checks the manifest against its configuration, divides the budget, streams the trunk. Experts stay where
 * they are. Throws MoqeError `over_budget` before anything is fetched, as `unavailable` where the device itself has
 * less memory; `corrupt`, `unsupported`.
 */
export async function assemble(
  manifest: Manifest,
  parts: { ledger: Ledger; backend: Backend; fetcher: BlockFetcher },
  options: AssembleOptions,
): Promise<Assembly> {
  const { backend, fetcher, ledger } = parts;
  const { plan, spec } = architectureOf(manifest.config).read(manifest.config);
  checkManifest(manifest, plan);
  const { kvBits = 16, maxBatchTokens, maxSourceTokens, maxContextTokens } = options;
  const shape = scratchShape(plan, spec, passRows(spec, options));
  const divided = (scratchBytes: number) =>
    divideBudget(manifest, plan, spec, {
      gpuBytes: Math.min(
        ledger.snapshot().gpu.budgetBytes,
        // What a budget has beyond a CPU's heap stays unused.
        backend.name === "cpu" ? HEAP_MOST_BYTES : Infinity,
      ),
      scratchBytes,
      maxBatchTokens,
      maxSourceTokens,
      maxContextTokens,
      kvBits,
      // The CPU's attention sees its whole heap, whatever its arenas are limited to.
      bindingBytes: backend.name === "cpu" ? undefined : backend.limits.maxBindingBytes,
      models: options.shared?.models,
    });
  try {
    backend.prepare(shape);
  } catch (error) {
    // Too little for the scratch alone: the least that would do is told for all of it.
    if (backend.name === "cpu") divided(cpuScratchBytes(shape, options.threads ?? 1));
    throw error;
  }
  const budget = divided(ledger.snapshot().gpu.usedBytes);
  const trunk = new Trunk(backend, manifest);
  const residency = new ExpertResidency(backend, manifest, plan, fetcher, {
    slots: Math.min(budget.slots, options.maxSlots ?? Infinity),
    encoderShare: options.encoderShare,
    policy: options.policy ?? horizon,
  });
  const workspace = new Workspace(backend, spec, {
    ...shape,
    tablePages: tablePages(spec, { maxSourceTokens, maxContextTokens }),
  });
  const context = { backend, workspace, residency, spec, observer: options.observer };
  const model = new SequenceModel(context, trunk, budget.pages, kvBits);
  // A device that has not the memory tells it with a readback: before anything is fetched.
  await backend.readback(workspace.places.buffer, 0, 4);
  await trunk.load(manifest, fetcher, options);
  return {
    plan,
    spec,
    budget,
    model,
    residency,
    free() {
      model.free();
      workspace.free(backend);
      residency.free();
      trunk.free();
    },
  };
}
