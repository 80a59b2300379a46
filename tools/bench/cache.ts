/** deno task bench cache: a routing trace replayed against cache policies and against the best that is possible. */
import type { Values } from "../../src/base/config.ts";
import type { Policy } from "../../src/experts/contract.ts";
import { horizon } from "../../src/experts/policy/horizon.ts";
import { lfru } from "../replay/lfru.ts";
import { lfu } from "../replay/lfu.ts";
import { lru } from "../replay/lru.ts";
import { replay, replayBest, type Replayed } from "../replay/replay.ts";
import { priorOf } from "../../src/experts/profiles.ts";
import { parseProfiles } from "../../src/store/profiles.ts";
import { SplitPolicy } from "../replay/split.ts";
import { NLLB_54B_LAYERS, synthesize } from "../replay/synthesize.ts";
import { firstKeys, readTrace, type Trace } from "../../src/experts/trace.ts";
import type { benchFlags } from "./flags.ts";
import { usage } from "../../src/cli/parse.ts";
import { table } from "../../src/cli/tables.ts";

const SHARES = [0.06, 0.12, 0.25, 0.5];

/** The tables of one trace, or of those that are generated where none is given. */
export async function cacheTables(flags: Values<typeof benchFlags>): Promise<string> {
  const traces = flags.trace === undefined ? generated() : [await readTrace(flags.trace)];
  const out: string[] = [];
  for (const trace of traces) out.push(await cacheTable(trace, flags.profile));
  return out.join("\n\n");
}

async function cacheTable(trace: Trace, profile: string | undefined): Promise<string> {
  const { layers, visits } = trace;
  const experts = firstKeys(layers).at(-1)!;
  const requests = visits.reduce((n, v) => n + v.experts.length, 0);
  const prior = profile === undefined
    ? undefined
    : priorOf(parseProfiles(await Deno.readTextFile(profile), { layers }, profile), layers);
  const policies: [string, (slots: number) => Policy][] = [
    ["lfu", () => lfu()],
    ["lfru", () => lfru()],
    ["horizon, quota 1/2", (slots) => new SplitPolicy(layers, slots, 0.5, () => horizon(layers))],
    ["horizon, quota 1/4", (slots) => new SplitPolicy(layers, slots, 0.25, () => horizon(layers))],
    ["horizon", () => horizon(layers)],
  ];
  if (prior !== undefined) policies.push(["horizon, profile", () => horizon(layers, { prior })]);
  const rows = SHARES.flatMap((share) => {
    const slots = Math.max(1, Math.round(share * experts));
    const least = replay(trace, lru(), slots), best = replayBest(trace, slots);
    const row = (name: string, r: Replayed) => [
      `${100 * share} %`,
      String(slots),
      name,
      `${(100 * hitRate(r)).toFixed(2)} %`,
      gap(hitRate(r), hitRate(least), hitRate(best)),
      String(r.misses),
    ];
    return [
      row("lru", least),
      ...policies.map(([name, policy]) => row(name, replay(trace, policy(slots), slots))),
      row("min", best),
    ];
  });
  const head = `${trace.model}: ${trace.about}\n${experts} experts, ${visits.length} visits of ` +
    `sparse layers, ${requests} requests`;
  const columns = ["resident", "slots", "policy", "hits", "of the gap", "misses"];
  return `${head}\n\n${table(columns, rows)}`;
}

/** NLLB-MoE-54B's shape, four beams, in order and mixed. */
function generated(): Trace[] {
  const base = {
    layers: NLLB_54B_LAYERS,
    sentences: 120,
    targets: ["deu_Latn", "fra_Latn", "spa_Latn"],
    source: "eng_Latn",
    beams: 4,
    seed: 1,
  };
  return [synthesize({ ...base, inOrder: true }), synthesize({ ...base, inOrder: false })];
}

function hitRate({ hits, misses }: Replayed): number {
  return hits / Math.max(1, hits + misses);
}

/** How much of the way from LRU to MIN a policy goes. */
function gap(rate: number, least: number, best: number): string {
  return best - least < 1e-9 ? "" : `${(100 * (rate - least) / (best - least)).toFixed(0)} %`;
}

/** Says what `bench`'s word may be. */
export function checkBenchWord(word: string | undefined): void {
  if (word !== undefined && word !== "cache") {
    throw usage(
      { program: "deno task", name: "bench" },
      `"${word}" is no part of it: say cache, or nothing`,
    );
  }
}
