/** What `moqe plan` expects of each language pair: hits, and what the first sentence of a cold start costs. */
import { createLogger } from "../base/log.ts";
import type { ModelPlan } from "../base/plan.ts";
import { formatBytes, formatSeconds } from "../base/units.ts";
import type { BudgetPlan } from "../engine/budget.ts";
import { Learned } from "../engine/learned.ts";
import type { TokenCost } from "../engine/token_cost.ts";
import { outlook } from "../experts/outlook.ts";
import { priorOf } from "../experts/profiles.ts";
import { pairSides } from "../store/manifest.ts";
import type { OpenedModel } from "../store/open.ts";
import { table } from "./tables.ts";

/** Tokens of the sentence that is reckoned with. */
const STEPS = 30;
/** Pairs that are shown. */
const MOST_PAIRS = 24;

/** A table by pair; a line that says how to get one where the model has no profiles. */
export async function outlookTable(
  { manifest, store }: OpenedModel,
  plan: ModelPlan,
  budget: BudgetPlan,
  bytesASecond: number,
): Promise<string> {
  if (budget.experts === 0) return "a dense model: every weight is resident";
  const { profiles } = await Learned.open(manifest, plan, store, { log: createLogger("warn") });
  const prior = priorOf(profiles, plan.expertLayers);
  const rows = manifest.pairs.slice(0, MOST_PAIRS).flatMap((pair) => {
    const { source, target } = pairSides(pair);
    const { slots, slotBytes } = budget;
    const found = outlook({
      layers: plan.expertLayers,
      prior,
      source,
      target,
      slots,
      steps: STEPS,
    });
    if (found === undefined) return [];
    const bytes = found.coldExperts * slotBytes;
    return [[
      pair,
      `${(100 * found.hitRate).toFixed(1)} %`,
      found.coldExperts.toFixed(0),
      formatBytes(Math.round(bytes)),
      formatSeconds(bytes / bytesASecond),
    ]];
  });
  if (rows.length === 0) return "no profiles: make them with moqe profile to see hits by language";
  const head = `a sentence of ${STEPS} tokens at ${formatBytes(bytesASecond)} a second:`;
  const columns = ["pair", "expected hits", "cold experts", "cold bytes", "cold seconds"];
  return `${head}\n${table(columns, rows)}`;
}

/** What a token costs a model that generates, where its experts are used evenly. */
export function tokenText(cost: TokenCost, bytesASecond: number): string {
  const readMs = 1e3 * cost.readBytes / bytesASecond;
  const ms = (time: number) => `${Math.round(time)} ms`;
  // Reads go on beside the products; what is read from a disk is checked by the thread that computes.
  const total = Math.max(readMs, cost.hashMs + cost.computeMs);
  return [
    "a token, where experts are used evenly (trained routers use some more often, and read less):",
    table(["part", "figure"], [
      ["experts routed", String(cost.routed)],
      ["resident", `${(100 * cost.hitRate).toFixed(1)} %`],
      ["read", formatBytes(Math.round(cost.readBytes))],
      [`reading at ${formatBytes(bytesASecond)} a second`, ms(readMs)],
      ["checking what is read", ms(cost.hashMs)],
      ["products, one thread of this machine", ms(cost.computeMs)],
      ["a token", ms(total)],
    ]),
  ].join("\n");
}
