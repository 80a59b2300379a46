/** Results to a table in Markdown. */
import { BLEU } from "../../src/text/metrics/bleu.ts";
import { interval, resampled } from "../../src/text/metrics/bootstrap.ts";
import { CHRF } from "../../src/text/metrics/chrf.ts";
import type { Metric } from "../../src/text/metrics/contract.ts";
import type { DevSet, Measured } from "./measure.ts";
import type { Found } from "./results.ts";
import type { System } from "./systems.ts";

/** A system and what was found of it. */
export interface Result extends Found {
  readonly system: System;
}

/** Beam widths that are scored. */
export const WIDTHS = [1, 4];

export type Sets = Readonly<Record<string, DevSet>>;

/** Counts of each sentence of one output. */
function counts(metric: Metric, set: DevSet, output: readonly string[]): Float64Array[] {
  return output.map((line, i) => metric.counts(line, set.references[i]!));
}

/** "18.7 / 43.1" of one pair. */
function scores(set: DevSet, output: readonly string[]): string {
  return [BLEU, CHRF].map((m) => interval(m, counts(m, set, output)).score.toFixed(1)).join(" / ");
}

/** Mean score over pairs, and its difference to a base with the 95 % interval of a paired bootstrap. */
export function meanAgainst(
  metric: Metric,
  sets: Sets,
  ours: Measured,
  options: { beams: number; base?: Measured | undefined },
): { mean: number; difference?: { value: number; low: number; high: number } } {
  const pairs = Object.keys(sets);
  const key = (p: string) => `${p} ${options.beams}`;
  const mine = pairs.map((p) => counts(metric, sets[p]!, ours.outputs[key(p)]!));
  const mean = mine.reduce((sum, c) => sum + interval(metric, c).score / pairs.length, 0);
  const { base } = options;
  if (base === undefined) return { mean };
  const theirs = pairs.map((p) => counts(metric, sets[p]!, base.outputs[key(p)]!));
  const differences = resampled(mine.map((c, i) => ({ ours: c, theirs: theirs[i]! })), metric);
  return { mean, difference: differences };
}

/** Share of translations that are the same text as the base's. */
function same(sets: Sets, ours: Measured, base: Measured, beams: number): string {
  let equal = 0, all = 0;
  for (const pair of Object.keys(sets)) {
    const theirs = base.outputs[`${pair} ${beams}`]!;
    for (const [i, text] of ours.outputs[`${pair} ${beams}`]!.entries()) {
      all++;
      if (text === theirs[i]) equal++;
    }
  }
  return `${(100 * equal / all).toFixed(0)} %`;
}

export const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(1);

/** One table of systems, a row a system and beam width. `base` is what they are compared with, by its short name. */
export function renderTable(
  results: readonly Result[],
  sets: Sets,
  { base, name }: { base: Result; name: string },
): string {
  const pairs = Object.keys(sets);
  const head = [
    "system",
    "search",
    "experts + trunk, MiB",
    "peak ledger, MiB",
    "weight error",
    "same text",
    ...pairs,
    "mean BLEU",
    `to ${name} (95 %)`,
    "mean chrF++",
  ];
  const rows = results.flatMap(({ system, measured, weightError }) =>
    WIDTHS.filter((w) => `${pairs[0]} ${w}` in measured.outputs).map((beams, i) => {
      const first = i === 0;
      // A base may have been translated by fewer widths.
      const hasBase = `${pairs[0]} ${beams}` in base.measured.outputs;
      const against = hasBase ? base.measured : undefined;
      const { mean, difference } = meanAgainst(BLEU, sets, measured, { beams, base: against });
      const { bytes, ledger } = measured;
      return [
        first ? system.title : "",
        beams === 1 ? "greedy" : `beam ${beams}`,
        first ? `${mib(bytes.experts)} + ${mib(bytes.trunk)}` : "",
        first ? `${mib(ledger.model)} / ${mib(ledger.all)}` : "",
        first && weightError !== undefined ? weightError.toFixed(4) : "",
        against === undefined ? "" : same(sets, measured, against, beams),
        ...pairs.map((p) => scores(sets[p]!, measured.outputs[`${p} ${beams}`]!)),
        mean.toFixed(2),
        difference === undefined || system === base.system
          ? ""
          : `${signed(difference.value)} (${signed(difference.low)} to ${signed(difference.high)})`,
        meanAgainst(CHRF, sets, measured, { beams }).mean.toFixed(2),
      ];
    })
  );
  return markdownTable(head, rows);
}

/** Lines of a table in Markdown. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]) {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** "+0.33": always with its sign. */
export function signed(value: number): string {
  return `${value < 0 ? "-" : "+"}${Math.abs(value).toFixed(2)}`;
}
