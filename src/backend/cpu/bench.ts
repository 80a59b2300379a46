/** Kernel figures of this machine: products of every width, attention, and the choice from a vocabulary. */
import { F16, F32, matrixBytes, type MatrixFormat } from "../../base/layout.ts";
import { Ledger } from "../../base/ledger.ts";
import { type Backend, type Matrix, PAGE_TOKENS, type Tensor } from "../contract.ts";
import { createCpuBackend } from "./backend.ts";
import { packedRandom, seeded } from "./twin/packed.ts";

export interface KernelFigure {
  name: string;
  /** Rows x inputs -> outputs, or what else the work is made of. */
  shape: string;
  /** Best of the repetitions, one call. */
  ms: number;
  gflops: number;
  /** Bytes of weights (or keys and values) over time. */
  gbPerS: number;
  /** Time of the f16 product of the same shape over this one's; absent where there is none. */
  ratioToF16?: number;
}

const SIXTEEN = [-127, -97, -75, -58, -44, -31, -18, -6, 6, 18, 31, 44, 58, 75, 97, 127];
const FORMATS: readonly [string, MatrixFormat][] = [
  ["f16", F16],
  ["f32", F32],
  ["8-bit channel", { bits: 8, group: 0, zero: 128 }],
  ["4-bit group 64", { bits: 4, group: 64, zero: 8 }],
  ["2-bit group 64", { bits: 2, group: 64, zero: 1.5 }],
  ["2-bit channel", { bits: 2, group: 0, zero: 1.5 }],
  ["2-bit rotated", { bits: 2, group: 64, zero: 1.5, rotated: true }],
  ["2-bit levels", { bits: 2, group: 64, zero: 0, levels: [-127, -38, 38, 127] }],
  ["3-bit group 64", { bits: 3, group: 64, zero: 3.5 }],
  ["3-bit levels", { bits: 3, group: 64, zero: 0, levels: [-127, -79, -44, -14, 14, 44, 79, 127] }],
  ["4-bit levels", { bits: 4, group: 64, zero: 0, levels: SIXTEEN }],
];
const SIZES: readonly [number, number][] = [[1024, 4096], [2048, 2048]];
const ROWS = [1, 16, 64];

export interface BenchOptions {
  /** Time given to each figure; the best of as many calls as fit, at least five. */
  msEach?: number;
}

/** Runs every figure on a CPU backend of its own; about half a minute. */
export async function benchKernels(options: BenchOptions = {}): Promise<KernelFigure[]> {
  const ledger = new Ledger({ gpuBytes: 2 ** 30, hostBytes: 0 });
  const backend = await createCpuBackend({ ledger });
  backend.prepare({ maxRows: 1024, maxCols: 2048, maxHidden: 4096, topK: 2, maxCandidates: 16 });
  const bench = new Bench(backend, options.msEach ?? 400);
  const figures: KernelFigure[] = [];
  for (const [k, n] of SIZES) {
    for (const rows of ROWS) figures.push(...bench.products(rows, k, n));
  }
  figures.push(...[30, 300].map((length) => bench.segments(length, 512, 8)));
  figures.push(bench.pages(16, 64, 512, 8));
  figures.push(...[1, 16].map((rows) => bench.vocabulary(rows, 256, 12000)));
  backend.close();
  return figures;
}

class Bench {
  readonly #random = seeded(1);
  constructor(readonly backend: Backend, readonly msEach: number) {}

  #best(run: () => void): number {
    let best = Infinity;
    const end = performance.now() + this.msEach;
    for (let i = 0; i < 5 || performance.now() < end; i++) {
      const start = performance.now();
      run();
      best = Math.min(best, performance.now() - start);
    }
    return best;
  }

  #tensor(rows: number, cols: number): Tensor {
    const data = Float32Array.from({ length: rows * cols }, () => this.#random() - 0.5);
    const buffer = this.backend.alloc("bench", data.byteLength, "activations");
    this.backend.write(buffer, 0, new Uint8Array(data.buffer));
    return { buffer, offset: 0, rows, cols };
  }

  #matrix(n: number, k: number, format: MatrixFormat): Matrix {
    const { layout, bytes } = packedRandom(n, k, format, this.#random, true);
    const buffer = this.backend.alloc("bench", bytes.length, "trunk");
    this.backend.write(buffer, 0, bytes);
    return { buffer, offset: 0, layout, format };
  }

  #figure(name: string, shape: string, ms: number, flops: number, bytes: number): KernelFigure {
    return { name, shape, ms, gflops: flops / ms / 1e6, gbPerS: bytes / ms / 1e6 };
  }

  products(rows: number, k: number, n: number): KernelFigure[] {
    const x = this.#tensor(rows, k), out = this.#tensor(rows, n);
    let f16 = NaN;
    const figures = FORMATS.map(([name, format]) => {
      const w = this.#matrix(n, k, format);
      const ms = this.#best(() => this.backend.linear({ x, w, out }));
      if (format === F16) f16 = ms;
      const bytes = matrixBytes(w.layout);
      this.backend.free(w.buffer);
      const label = `${rows === 1 ? "gemv" : "gemm"} ${name}`;
      const figure = this.#figure(label, `${rows} x ${k} -> ${n}`, ms, 2 * rows * k * n, bytes);
      return { ...figure, ratioToF16: f16 / ms };
    });
    for (const t of [x, out]) this.backend.free(t.buffer);
    return figures;
  }

  /** One segment of `length` rows over itself. */
  segments(length: number, d: number, heads: number): KernelFigure {
    const [q, k, v, out] = [0, 1, 2, 3].map(() => this.#tensor(length, d));
    const starts = new Int32Array(length), lengths = new Int32Array(length).fill(length);
    const op = { q: q!, k: k!, v: v!, out: out!, heads, starts, lengths };
    const ms = this.#best(() => this.backend.segmentAttention(op));
    const shape = `${length} rows, ${heads} heads of ${d / heads}`;
    for (const t of [q, k, v, out]) this.backend.free(t!.buffer);
    return this.#figure("attention segment", shape, ms, 4 * length * length * d, 8 * length * d);
  }

  /** `rows` queries over `length` paged positions each. */
  pages(rows: number, length: number, d: number, heads: number): KernelFigure {
    const q = this.#tensor(rows, d), out = this.#tensor(rows, d);
    const pagesPerRow = length / PAGE_TOKENS, pages = rows * pagesPerRow;
    const store = this.#tensor(pages * PAGE_TOKENS * 2, d);
    const kv = { buffer: store.buffer, offset: 0, pages, dModel: d };
    const pageTable = Int32Array.from({ length: pages }, (_, i) => i);
    const lengths = new Int32Array(rows).fill(length);
    const op = { q, heads, kv, pageTable, pagesPerRow, lengths, out };
    const ms = this.#best(() => this.backend.pagedAttention(op));
    for (const t of [q, out, store]) this.backend.free(t.buffer);
    const shape = `${rows} rows of ${length}, ${heads} heads of ${d / heads}`;
    const bytes = 8 * rows * length * d;
    return this.#figure("attention paged", shape, ms, 4 * rows * length * d, bytes);
  }

  vocabulary(rows: number, d: number, vocab: number): KernelFigure {
    const candidates = 8, x = this.#tensor(rows, d), logProbs = this.#tensor(rows, candidates);
    const w = this.#matrix(vocab, d, { bits: 8, group: 0, zero: 128 });
    const ids = this.backend.alloc("bench", rows * candidates * 4, "activations");
    const op = { x, w, candidates, ids: { buffer: ids, offset: 0 }, logProbs };
    const ms = this.#best(() => this.backend.vocabTopK(op));
    for (const buffer of [x.buffer, w.buffer, logProbs.buffer, ids]) this.backend.free(buffer);
    const shape = `${rows} x ${d} -> ${vocab}`;
    const bytes = matrixBytes(w.layout);
    return this.#figure("vocabulary top 8, 8-bit", shape, ms, 2 * rows * d * vocab, bytes);
  }
}
