/**
 * Which tiles are fastest on this GPU: candidates side by side on the same matrices, one axis after the other, and the
 * constants to put in src/backend/webgpu/tiles.ts.
 */
import { BENCH_SHAPE, plausibleBytes } from "./kernels.ts";
import type { Backend, Matrix } from "../../src/backend/contract.ts";
import type { OpenedDevice } from "../../src/backend/webgpu/adapter.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { gpuStopwatch } from "./stopwatch.ts";
import { CANDIDATES, TILES, type Tiles } from "../../src/backend/webgpu/tiles.ts";
import { F16, type MatrixFormat, matrixLayout } from "../../src/base/layout.ts";
import { Ledger } from "../../src/base/ledger.ts";
import { table } from "../../src/cli/tables.ts";

const FORMATS: readonly [string, MatrixFormat][] = [
  ["f16", F16],
  ["4-bit", { bits: 4, group: 64, zero: 8 }],
  ["2-bit", { bits: 2, group: 64, zero: 1.5 }],
];
/** [K, N]: NLLB-MoE-54B's, and for software adapters the shipped model's kind. */
const SIZES = [[2048, 2048], [2048, 8192], [8192, 2048]] as const;
const SMALL_SIZES = [[256, 1024], [1024, 256]] as const;
/** Every candidate is timed so often, in turn with the others. */
const ROUNDS = 3;
const ROOM = 2 ** 40;

interface Case {
  readonly name: string;
  readonly rows: number;
  readonly k: number;
  readonly n: number;
  readonly format: MatrixFormat;
}

/** One way to cut, by the words that say which. */
interface Candidate {
  readonly name: string;
  readonly tiles: Tiles;
}

/** An axis: candidates by what was best on the axes before it. */
interface Axis {
  readonly title: string;
  readonly rows: readonly number[];
  candidates(best: Tiles): Candidate[];
}

const AXES: readonly Axis[] = [
  {
    title: "One row: threads of a workgroup, most of them along K",
    rows: [1],
    candidates: (best) =>
      CANDIDATES.gemv.map((c) => ({
        name: `${c.gemvThreads} threads, ${c.mostLanes} lanes`,
        tiles: { ...best, ...c },
      })),
  },
  ...([["few", 16], ["many", 64]] as const).map(([kind, rows]): Axis => ({
    title: `${rows} rows: threads of a tile, those of them along rows, vectors of K a step`,
    rows: [rows],
    candidates: (best) =>
      CANDIDATES.gemm.map((tile) => ({
        name: `${tile.threads} threads, ${tile.ty} along rows, ${tile.step} a step`,
        tiles: { ...best, [kind]: tile },
      })),
  })),
  {
    title: "2 to 16 rows: up to how many each has workgroups of its own",
    rows: [2, 4, 8, 16],
    candidates: (best) =>
      CANDIDATES.gemvRows.map((gemvRows) => ({
        name: `${gemvRows} rows`,
        tiles: { ...best, gemvRows },
      })),
  },
];

/** A table an axis as it is measured, at last the constants. */
export async function* tileTables(opened: OpenedDevice, msEach: number): AsyncGenerator<string> {
  const bench = new TileBench(opened, msEach);
  let best: Tiles = TILES;
  for (const { title, rows, candidates } of AXES) {
    const { text, winner } = await bench.compare(casesOf(opened, rows), candidates(best));
    best = winner.tiles;
    yield `${title}\n\n${text}`;
  }
  const constants = JSON.stringify(best, undefined, 2).replaceAll(/"(\w+)":/g, "$1:");
  yield `Fastest on ${opened.adapterName}, for src/backend/webgpu/tiles.ts:\n\n` +
    `export const TILES: Tiles = ${constants};`;
}

function casesOf({ isFallback }: OpenedDevice, rows: readonly number[]): Case[] {
  return (isFallback ? SMALL_SIZES : SIZES).flatMap(([k, n]) =>
    FORMATS.flatMap(([name, format]) =>
      rows.map((r) => ({ name: `${r} x ${k} -> ${n}, ${name}`, rows: r, k, n, format }))
    )
  );
}

class TileBench {
  constructor(private readonly opened: OpenedDevice, private readonly msEach: number) {}

  /** Times of every candidate over the best of each case, as a geometric mean; the least wins. */
  async compare(
    cases: readonly Case[],
    candidates: readonly Candidate[],
  ): Promise<{ text: string; winner: Candidate }> {
    const logs = candidates.map(() => 0), wins = candidates.map(() => 0);
    for (const c of cases) {
      const ms = await this.#times(c, candidates), least = Math.min(...ms);
      ms.forEach((t, i) => logs[i]! += Math.log(t / least));
      wins[ms.indexOf(least)]!++;
    }
    const means = logs.map((l) => Math.exp(l / cases.length));
    const order = candidates.map((_, i) => i).sort((a, b) => means[a]! - means[b]!);
    const rows = order.map((i) => [
      candidates[i]!.name,
      `${means[i]!.toFixed(3)} x`,
      `${wins[i]} of ${cases.length}`,
    ]);
    const text = table(["candidate", "time over the best", "best in"], rows);
    return { text, winner: candidates[order[0]!]! };
  }

  /** Milliseconds of each candidate, timed in turn; the best of the rounds. */
  async #times(c: Case, candidates: readonly Candidate[]): Promise<number[]> {
    const best = candidates.map(() => Infinity);
    const runs: { backend: Backend; time: () => Promise<number> }[] = [];
    for (const { tiles } of candidates) {
      const ledger = new Ledger({ gpuBytes: ROOM, hostBytes: 0 });
      const backend = await createWebGpuBackend({
        ledger,
        opened: this.opened,
        keepDevice: true,
        tiles,
      });
      runs.push({ backend, time: this.#call(backend, c) });
    }
    for (let round = 0; round < ROUNDS; round++) {
      for (const [i, { time }] of runs.entries()) best[i] = Math.min(best[i]!, await time());
    }
    for (const { backend } of runs) backend.close();
    return best;
  }

  #call(backend: Backend, { rows, k, n, format }: Case): () => Promise<number> {
    const { isFallback } = this.opened, { msEach } = this;
    backend.prepare({ ...BENCH_SHAPE, maxRows: 64 });
    const layout = matrixLayout(n, k, format), bytes = plausibleBytes(n, k, format);
    const stopwatch = gpuStopwatch(backend, { msEach, isFallback });
    const copies = Array.from({ length: stopwatch.copies(bytes.length) }, (): Matrix => {
      const buffer = backend.alloc("bench", bytes.length, "trunk");
      backend.write(buffer, 0, bytes);
      return { buffer, offset: 0, layout, format };
    });
    const tensor = (cols: number) => ({
      buffer: backend.alloc("bench", rows * cols * 4, "activations"),
      offset: 0,
      rows,
      cols,
    });
    const x = tensor(k), out = tensor(n);
    return () =>
      stopwatch.time((turn) => backend.linear({ x, w: copies[turn % copies.length]!, out }));
  }
}
