/** Translations end to end, each configuration in a process of its own, so that peak memory is its own. */
import type { Values } from "../../src/base/config.ts";
import { MoqeError } from "../../src/base/errors.ts";
import { formatBytes } from "../../src/base/units.ts";
import { slotGeometry } from "../../src/experts/geometry.ts";
import { openModel } from "../../src/store/open.ts";
import { BENCH_CHILD, type BenchAsk, type BenchFigure } from "./ask.ts";
import type { benchFlags } from "./flags.ts";
import { engineOptions } from "../../src/cli/model.ts";
import { Progress } from "../../src/cli/progress.ts";
import { table } from "../../src/cli/tables.ts";

const COLUMNS = [
  "resident",
  "beams",
  "batch",
  "tokens/s",
  "beside the first",
  "first token ms",
  "cold ms",
  "hits",
  "peak RSS",
  "ledger peak",
];

/** Beams and sentences at once. */
const RUNS = [[1, 1], [1, 16], [4, 1], [4, 16]] as const;
const GPU_RUNS = [[1, 1], [1, 4], [1, 16], [1, 64]] as const;

/** What is measured: a software adapter is slower than the CPU. */
export type BenchDevice = "cpu" | "gpu" | "software gpu";

/**
 * Batch 1 and 16, greedy and four beams, every expert resident and an eighth; on a GPU batch 1 to 64, greedy, all to
 * an eighth of the experts. A software adapter goes over the sentences once, not `--rounds` times.
 */
export async function endToEndTable(
  flags: Values<typeof benchFlags>,
  device: BenchDevice,
): Promise<string> {
  const onGpu = device !== "cpu", rounds = device === "software gpu" ? 1 : flags.rounds;
  const base = engineOptions(flags);
  const { manifest } = await openModel(base.model, { manifestSha256: base.manifestSha256 });
  const experts = manifest.expertLayers.reduce((n, l) => n + l.experts.length, 0);
  const share = (n: number) => [`1/${n}`, Math.max(2, Math.ceil(experts / n))] as const;
  const arenas = [["all", experts] as const, ...(onGpu ? [2, 4, 8] : [8]).map(share)];
  const rows: string[][] = [], progress = new Progress({ force: true });
  let first: number | undefined;
  const runs = arenas.flatMap(([name, maxSlots]) =>
    (onGpu ? GPU_RUNS : RUNS).map(([beams, batch]) => ({ name, maxSlots, beams, batch }))
  );
  for (const [i, { name, maxSlots, beams, batch }] of runs.entries()) {
    const figure = await runChild({ engine: { ...base, maxSlots }, batch, beams, rounds });
    const words = [String(beams), String(batch)];
    if (figure === undefined) {
      rows.push([name, ...words, "failed"]);
    } else {
      const rate = figure.tokens / figure.seconds;
      first ??= rate;
      rows.push([
        `${name} (${figure.slots} slots)`,
        ...words,
        ...figureCells(figure, rate / first),
      ]);
    }
    const [, , , found] = rows.at(-1)!;
    const what = `${name} resident, beams ${beams}, batch ${batch}: ${found} tokens/s`;
    progress.show(`end to end: ${what}`, (i + 1) / runs.length);
  }
  if (first === undefined) {
    throw new MoqeError("internal", {
      action: "measure end to end",
      rule: "every measuring process failed",
    });
  }
  const head = `${manifest.name}: ${experts} experts of ${
    formatBytes(slotGeometry(manifest).slotBytes)
  }`;
  return `${head}\n\n${table(COLUMNS, rows)}`;
}

function figureCells(f: BenchFigure, ratio: number): string[] {
  return [
    (f.tokens / f.seconds).toFixed(1),
    `${ratio.toFixed(2)} x`,
    f.firstTokenMs.toFixed(1),
    f.coldFirstTokenMs.toFixed(1),
    `${(100 * f.hitRate).toFixed(1)} %`,
    formatBytes(f.peakRssBytes),
    formatBytes(f.gpuUsedBytes + f.hostUsedBytes),
  ];
}

/** Runs this very program once more, with this process's own Deno; undefined where that fails, which stderr tells. */
async function runChild(ask: BenchAsk): Promise<BenchFigure | undefined> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", Deno.mainModule, BENCH_CHILD],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(ask)));
  await writer.close();
  const { success, stdout } = await child.output();
  return success ? JSON.parse(new TextDecoder().decode(stdout)) : undefined;
}
