/** moqe plan: what a model takes, before anything of it but a manifest, or a checkpoint's configuration, is read. */
import { architectureOf } from "../arch/registry.ts";
import { HEAP_LIMIT } from "../backend/cpu/heap.ts";
import { cpuScratchBytes } from "../backend/cpu/scratch.ts";
import type { Values } from "../base/config.ts";
import type { ModelPlan } from "../base/plan.ts";
import { formatBytes } from "../base/units.ts";
import { isHubAddress } from "../checkpoint/hub_address.ts";
import { type BudgetPlan, divideBudget, passRows, scratchShape } from "../engine/budget.ts";
import { hostNeed, leastHostMiB } from "../engine/host_budget.ts";
import { WORKER_START_BYTES } from "../engine/shares.ts";
import { tokenCost } from "../engine/token_cost.ts";
import type { ModelSpec } from "../nn/spec.ts";
import type { Manifest } from "../store/manifest.ts";
import { openModel } from "../store/open.ts";
import { tokenizerBytes } from "../text/token_model.ts";
import { EXIT, type Invocation } from "./command.ts";
import type { planFlags } from "./pack_flags.ts";
import { kvBits, modelAddress, threadCount } from "./model.ts";
import { usage } from "./parse.ts";
import { planConfig, planHub } from "./plan_checkpoint.ts";
import { outlookTable, tokenText } from "./plan_outlook.ts";
import { manifestTable, table } from "./tables.ts";

/** Runs the command. A budget that is too small is told with the least that would do, and exit code 1. */
export async function plan({ flags, positionals }: Invocation<typeof planFlags>): Promise<number> {
  const [address] = positionals;
  if (flags.config === undefined) {
    if (address === undefined || !isHubAddress(address)) return await planModel(address, flags);
    await show(await planHub(address, flags), flags);
  } else if (address === undefined) await show(await planConfig(flags.config, flags), flags);
  else throw usage({ name: "plan" }, "--config stands in place of MODEL: give one of them");
  return EXIT.ok;
}

async function planModel(
  address: string | undefined,
  flags: Values<typeof planFlags>,
): Promise<number> {
  const opened = await openModel(modelAddress(address), {
    mirrors: flags.mirror,
    manifestSha256: flags.manifestSha256,
  });
  const { manifest, store, manifestBytes } = opened;
  const { plan, spec } = architectureOf(manifest.config).read(manifest.config);
  console.log(`${manifest.name} at ${store.origin}, licence ${manifest.licence.id}`);
  console.log(`${manifest.provenance.quantizer}\n`);
  console.log(`${manifestTable(manifest, plan, manifestBytes)}\n`);
  const budget = divide({ manifest, plan, spec, manifestBytes }, flags, flags.gpuMemory);
  console.log(`${budgetText(budget, flags.gpuMemory)}\n`);
  console.log(needsText({ manifest, plan, spec, manifestBytes }, budget, flags));
  const outlook = spec.encoder === undefined
    ? tokenText(await tokenCost(manifest, plan, spec, budget), flags.bandwidth)
    : await outlookTable(opened, plan, budget, flags.bandwidth);
  console.log(`\n${outlook}`);
  return EXIT.ok;
}

/** A model as it is planned: packed, or as a pack would make it. */
export interface Planned {
  readonly manifest: Manifest;
  readonly manifestBytes: number;
  readonly plan: ModelPlan;
  readonly spec: ModelSpec;
}

/** What a checkpoint's packed model would need; how a budget is divided, where it is enough. */
async function show(planned: Planned, flags: Values<typeof planFlags>): Promise<void> {
  const { gpuMemory } = flags, { manifest, plan, spec } = planned;
  const most = divide(planned, flags, Number.MAX_SAFE_INTEGER);
  console.log(`\n${needsText(planned, most, flags)}`);
  if (gpuMemory < most.leastBytes) {
    console.log(`--gpu-memory ${formatBytes(gpuMemory)} would be too small`);
    return;
  }
  const budget = divide(planned, flags, gpuMemory);
  console.log(`\n${budgetText(budget, gpuMemory)}`);
  if (spec.encoder !== undefined) return;
  console.log(`\n${tokenText(await tokenCost(manifest, plan, spec, budget), flags.bandwidth)}`);
}

function divide(
  { manifest, plan, spec }: Planned,
  flags: Values<typeof planFlags>,
  gpuBytes: number,
): BudgetPlan {
  return divideBudget(manifest, plan, spec, {
    gpuBytes,
    scratchBytes: cpuScratchBytes(
      scratchShape(plan, spec, passRows(spec, flags)),
      threadCount(flags.threads),
    ),
    maxBatchTokens: flags.maxBatchTokens,
    maxSourceTokens: flags.maxSourceTokens,
    maxContextTokens: flags.maxContext,
    kvBits: kvBits(flags.kvCache),
  });
}

/** The device ledger as the engine would divide it. */
function budgetText(budget: BudgetPlan, gpuBytes: number): string {
  const lines: [string, number][] = [
    ["trunk", budget.trunkBytes],
    ["activations", budget.activationBytes],
    ["kv", budget.kvBytes],
    ["arena", budget.arenaBytes],
  ];
  const used = lines.reduce((sum, [, bytes]) => sum + bytes, 0);
  const rows = [
    ...lines,
    ["unused", gpuBytes - used] as const,
    ["--gpu-memory", gpuBytes] as const,
  ];
  const share = budget.experts === 0 ? 1 : budget.slots / budget.slotsForAll;
  return [
    table(["ledger line", "bytes"], rows.map(([name, bytes]) => [name, formatBytes(bytes)])),
    ...gpuBytes > HEAP_LIMIT
      ? [`\non the CPU ${formatBytes(HEAP_LIMIT)} of it are used at most`]
      : [],
    `\nslots: ${budget.slots} of ${formatBytes(budget.slotBytes)} for ${budget.experts} experts ` +
    `(${(100 * share).toFixed(0)} % resident)`,
    `K/V: ${budget.pages} pages of 16 tokens`,
  ].join("\n");
}

/** The least budgets; the host's, which the tokenizer decides with, is what this process would start with. */
function needsText(
  { manifest, manifestBytes, spec }: Planned,
  budget: BudgetPlan,
  flags: Values<typeof planFlags>,
): string {
  const host = hostNeed(manifest, {
    rssBytes: Deno.memoryUsage().rss + WORKER_START_BYTES,
    manifestBytes,
    tokenizerBytes: tokenizerBytes(spec.vocab, spec.vocab),
    threads: threadCount(flags.threads) + 1,
  });
  return [
    `least --gpu-memory: ${formatBytes(budget.leastBytes)}`,
    `every expert resident from: ${formatBytes(budget.allResidentBytes)}`,
    ...manifest.tokenizer.block.length === 0 ? [] : [
      `least --host-memory: about ${leastHostMiB(host)} MiB, and what serve is given beside it`,
    ],
  ].join("\n");
}
