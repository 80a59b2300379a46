/** Translations end to end, each configuration in a process of its own, so that peak memory is its own. */
import type { Values } from "../base/config.ts";
import { MoqeError } from "../base/errors.ts";
import { formatBytes } from "../base/units.ts";
import { slotGeometry } from "../experts/geometry.ts";
import { openModel } from "../store/open.ts";
import { BENCH_CHILD, type BenchAsk, type BenchFigure } from "./bench_ask.ts";
import type { benchFlags } from "./flags.ts";
import { engineOptions } from "./model.ts";
import { table } from "./tables.ts";

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

/**
 * Batch 1 and 16, greedy and four beams, every expert resident and an eighth; on a GPU batch 1 to 64, greedy, all to
 * an eighth of the experts.
 */
export async function endToEndTable(
  flags: Values<typeof benchFlags>,
  onGpu = false,
): Promise<string> {
  const base = engineOptions(flags);
  const { manifest } = await openModel(base.model, { manifestSha256: base.manifestSha256 });
  const experts = manifest.expertLayers.reduce((n, l) => n + l.experts.length, 0);
  const share = (n: number) => [`1/${n}`, Math.max(2, Math.ceil(experts / n))] as const;
  const arenas = [["all", experts] as const, ...(onGpu ? [2, 4, 8] : [8]).map(share)];
  const rows: string[][] = [];
  let first: number | undefined;
  for (const [name, maxSlots] of arenas) {
    for (const [beams, batch] of onGpu ? GPU_RUNS : RUNS) {
      const figure = await runChild({
        engine: { ...base, maxSlots },
        batch,
        beams,
        rounds: flags.rounds,
      });
      const rate = figure.tokens / figure.seconds;
      first ??= rate;
      const resident = `${name} (${figure.slots} slots)`;
      rows.push([resident, String(beams), String(batch), ...figureCells(figure, rate / first)]);
    }
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

/** Runs this very program once more, with this process's own Deno. */
async function runChild(ask: BenchAsk): Promise<BenchFigure> {
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
  if (success) return JSON.parse(new TextDecoder().decode(stdout));
  throw new MoqeError("internal", {
    action: "measure end to end",
    rule: "the measuring process failed",
  });
}
