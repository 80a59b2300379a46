/** moqe plan: what a model takes, before anything of it but the manifest is read. */
import { architectureOf } from "../arch/registry.ts";
import { HEAP_LIMIT } from "../backend/cpu/heap.ts";
import { cpuScratchBytes } from "../backend/cpu/scratch.ts";
import type { Values } from "../base/config.ts";
import { MoqeError } from "../base/errors.ts";
import { formatBytes } from "../base/units.ts";
import { type BudgetPlan, divideBudget, scratchShape } from "../engine/budget.ts";
import { planSizes } from "../pack/sizes.ts";
import { openModel } from "../store/open.ts";
import { EXIT, type Invocation } from "./command.ts";
import type { planFlags } from "./pack_flags.ts";
import { kvBits, modelAddress, threadCount } from "./model.ts";
import { usage } from "./parse.ts";
import { outlookTable } from "./plan_outlook.ts";
import { manifestTable, sizeTable, table } from "./tables.ts";
import { packWidths } from "./widths.ts";

/** Runs the command. A budget that is too small is told with the least that would do, and exit code 1. */
export async function plan({ flags, positionals }: Invocation<typeof planFlags>): Promise<number> {
  if (flags.config === undefined) return await planModel(positionals[0], flags);
  if (positionals.length > 0) {
    throw usage({ name: "plan" }, "--config stands in place of MODEL: give one of them");
  }
  const config = await readConfig(flags.config);
  const { plan } = architectureOf(config).read(config);
  console.log(sizeTable(planSizes(plan, packWidths(flags))));
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
  const budget = divideBudget(manifest, plan, spec, {
    gpuBytes: flags.gpuMemory,
    scratchBytes: cpuScratchBytes(
      scratchShape(plan, spec, flags.maxBatchTokens),
      threadCount(flags.threads),
    ),
    maxBatchTokens: flags.maxBatchTokens,
    maxSourceTokens: flags.maxSourceTokens,
    kvBits: kvBits(flags.kvCache),
  });
  console.log(`${budgetTable(budget, flags.gpuMemory)}\n`);
  if (flags.gpuMemory > HEAP_LIMIT) {
    console.log(`on the CPU ${formatBytes(HEAP_LIMIT)} of it are used at most\n`);
  }
  console.log(slotsText(budget));
  console.log(`\n${await outlookTable(opened, plan, budget, flags.bandwidth)}`);
  return EXIT.ok;
}

async function readConfig(path: string): Promise<unknown> {
  try {
    return JSON.parse(await Deno.readTextFile(path));
  } catch (cause) {
    throw new MoqeError("bad_input", {
      action: `read ${path}`,
      rule: (cause as Error).message,
      remedy: "name a checkpoint's config.json",
      cause,
    });
  }
}

/** The device ledger as the engine would divide it. */
function budgetTable(budget: BudgetPlan, gpuBytes: number): string {
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
  return table(["ledger line", "bytes"], rows.map(([name, bytes]) => [name, formatBytes(bytes)]));
}

function slotsText(budget: BudgetPlan): string {
  const share = budget.experts === 0 ? 1 : budget.slots / budget.slotsForAll;
  return [
    `slots: ${budget.slots} of ${formatBytes(budget.slotBytes)} for ${budget.experts} experts ` +
    `(${(100 * share).toFixed(0)} % resident)`,
    `K/V: ${budget.pages} pages of 16 tokens`,
    `least --gpu-memory: ${formatBytes(budget.leastBytes)}`,
    `every expert resident from: ${formatBytes(budget.allResidentBytes)}`,
  ].join("\n");
}
