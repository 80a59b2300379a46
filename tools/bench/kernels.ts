/** Kernel figures of this machine: products of every width, attention, and the choice from a vocabulary. */
import { F16, F32, matrixBytes, type MatrixFormat, matrixLayout } from "../../src/base/layout.ts";
import { toHalfBits } from "../../src/quant/half.ts";
import {
  type Backend,
  type DeviceBuffer,
  type KvBits,
  type Matrix,
  PAGE_TOKENS,
  type Tensor,
} from "../../src/backend/contract.ts";

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
  ["2-bit trellis", { bits: 2, group: 64, zero: 0, trellis: true }],
  ["2-bit levels", { bits: 2, group: 64, zero: 0, levels: [-127, -38, 38, 127] }],
  ["3-bit group 64", { bits: 3, group: 64, zero: 3.5 }],
  ["3-bit levels", { bits: 3, group: 64, zero: 0, levels: [-127, -79, -44, -14, 14, 44, 79, 127] }],
  ["4-bit levels", { bits: 4, group: 64, zero: 0, levels: SIXTEEN }],
];
const ROWS = [1, 16, 64];

/** How calls are timed on a backend. */
export interface Stopwatch {
  /** Milliseconds of one call: the best of several, or the mean of many that run without waiting. */
  time(call: (turn: number) => void): Promise<number>;
  /**
   * Matrices of these bytes to go through in turn, so that none is found in a cache that a model's weights would not
   * fit in.
   */
  copies(bytes: number): number;
}

/** The stopwatch of a backend whose operations run at once: `msEach` for a figure, at least five calls. */
export function callStopwatch(msEach: number): Stopwatch {
  return {
    time(call) {
      let best = Infinity;
      const end = performance.now() + msEach;
      for (let i = 0; i < 5 || performance.now() < end; i++) {
        const start = performance.now();
        call(i);
        best = Math.min(best, performance.now() - start);
      }
      return Promise.resolve(best);
    },
    copies: () => 1,
  };
}

/** What a backend must be prepared for. */
export const BENCH_SHAPE = {
  maxRows: 1024,
  maxCols: 8192,
  maxHidden: 8192,
  topK: 2,
  maxCandidates: 16,
};

/** Runs every figure; half a minute on a CPU. `sizes` are [K, N] of products; `onShare` is told how much is done. */
export async function benchKernels(
  backend: Backend,
  stopwatch: Stopwatch,
  sizes: readonly (readonly [number, number])[] = [[1024, 4096], [2048, 2048]],
  onShare: (share: number) => void = () => {},
): Promise<KernelFigure[]> {
  const bench = new Bench(backend, stopwatch), figures: KernelFigure[] = [];
  for (const [k, n] of sizes) {
    for (const rows of ROWS) {
      figures.push(...await bench.products(rows, k, n));
      onShare(figures.length / (sizes.length * ROWS.length * FORMATS.length + 5));
    }
  }
  for (const length of [30, 300]) figures.push(await bench.segments(length, 512, 8));
  for (const bits of [32, 16] as const) figures.push(await bench.pages(16, 64, 512, 8, bits));
  for (const rows of [1, 16]) figures.push(await bench.vocabulary(rows, 256, 12000));
  return figures;
}

/** Bytes that stand for a matrix of plausible weights, made fast: one random piece over and over. */
export function plausibleBytes(
  n: number,
  k: number,
  format: MatrixFormat,
): Uint8Array<ArrayBuffer> {
  const layout = matrixLayout(n, k, format), piece = new Uint8Array(65536);
  if (format.bits < 16) crypto.getRandomValues(piece);
  else if (format.bits === 16) new Float16Array(piece.buffer).set(normals(piece.length / 2));
  else new Float32Array(piece.buffer).set(normals(piece.length / 4));
  const bytes = new Uint8Array(matrixBytes(layout));
  for (let at = 0; at < layout.codesBytes; at += piece.length) {
    bytes.set(piece.subarray(0, Math.min(piece.length, layout.codesBytes - at)), at);
  }
  new Float16Array(bytes.buffer, layout.codesBytes).fill(1 / 64);
  return bytes;
}

function normals(count: number): number[] {
  return Array.from({ length: count }, () => (Math.random() - 0.5) / 16);
}

class Bench {
  constructor(readonly backend: Backend, readonly stopwatch: Stopwatch) {}

  #tensor(rows: number, cols: number): Tensor {
    const data = Float32Array.from({ length: rows * cols }, () => Math.random() - 0.5);
    const buffer = this.backend.alloc("bench", data.byteLength, "activations");
    this.backend.write(buffer, 0, new Uint8Array(data.buffer));
    return { buffer, offset: 0, rows, cols };
  }

  /** Pages of random keys and values. */
  #pages(pages: number, d: number, bits: KvBits): DeviceBuffer {
    const data = Float32Array.from(
      { length: pages * PAGE_TOKENS * 2 * d },
      () => Math.random() - 0.5,
    );
    const held = bits === 32 ? data : Uint16Array.from(data, toHalfBits);
    const buffer = this.backend.alloc("bench", held.byteLength, "activations");
    this.backend.write(buffer, 0, new Uint8Array(held.buffer));
    return buffer;
  }

  /** As many equal matrices as the stopwatch wants. */
  #matrices(n: number, k: number, format: MatrixFormat): Matrix[] {
    const layout = matrixLayout(n, k, format), bytes = plausibleBytes(n, k, format);
    return Array.from({ length: this.stopwatch.copies(bytes.length) }, () => {
      const buffer = this.backend.alloc("bench", bytes.length, "trunk");
      this.backend.write(buffer, 0, bytes);
      return { buffer, offset: 0, layout, format };
    });
  }

  #figure(name: string, shape: string, ms: number, flops: number, bytes: number): KernelFigure {
    return { name, shape, ms, gflops: flops / ms / 1e6, gbPerS: bytes / ms / 1e6 };
  }

  async products(rows: number, k: number, n: number): Promise<KernelFigure[]> {
    const x = this.#tensor(rows, k), out = this.#tensor(rows, n);
    let f16 = NaN;
    const figures: KernelFigure[] = [];
    for (const [name, format] of FORMATS) {
      const all = this.#matrices(n, k, format);
      const ms = await this.stopwatch.time((turn) =>
        this.backend.linear({ x, w: all[turn % all.length]!, out })
      );
      if (format === F16) f16 = ms;
      const bytes = matrixBytes(all[0]!.layout);
      for (const w of all) this.backend.free(w.buffer);
      const label = `${rows === 1 ? "gemv" : "gemm"} ${name}`;
      const figure = this.#figure(label, `${rows} x ${k} -> ${n}`, ms, 2 * rows * k * n, bytes);
      figures.push({ ...figure, ratioToF16: f16 / ms });
    }
    for (const t of [x, out]) this.backend.free(t.buffer);
    return figures;
  }

  /** One segment of `length` rows over itself. */
  async segments(length: number, d: number, heads: number): Promise<KernelFigure> {
    const [q, k, v, out] = [0, 1, 2, 3].map(() => this.#tensor(length, d));
    const starts = new Int32Array(length), lengths = new Int32Array(length).fill(length);
    const op = { q: q!, k: k!, v: v!, out: out!, heads, starts, lengths };
    const ms = await this.stopwatch.time(() => this.backend.segmentAttention(op));
    const shape = `${length} rows, ${heads} heads of ${d / heads}`;
    for (const t of [q, k, v, out]) this.backend.free(t!.buffer);
    return this.#figure("attention segment", shape, ms, 4 * length * length * d, 8 * length * d);
  }

  /** `rows` queries over `length` paged positions each, of `bits`. */
  async pages(
    rows: number,
    length: number,
    d: number,
    heads: number,
    bits: KvBits,
  ): Promise<KernelFigure> {
    const q = this.#tensor(rows, d), out = this.#tensor(rows, d);
    const pagesPerRow = length / PAGE_TOKENS, pages = rows * pagesPerRow;
    const kv = { buffer: this.#pages(pages, d, bits), offset: 0, pages, width: d, bits };
    const pageTable = Int32Array.from({ length: pages }, (_, i) => i);
    const lengths = new Int32Array(rows).fill(length);
    const op = { q, heads, kv, pageTable, pagesPerRow, lengths, out };
    const ms = await this.stopwatch.time(() => this.backend.pagedAttention(op));
    for (const { buffer } of [q, out, kv]) this.backend.free(buffer);
    const shape = `${rows} rows of ${length}, ${heads} heads of ${d / heads}`;
    const bytes = rows * length * d * bits / 4;
    return this.#figure(`attention paged, f${bits}`, shape, ms, 4 * rows * length * d, bytes);
  }

  async vocabulary(rows: number, d: number, vocab: number): Promise<KernelFigure> {
    const candidates = 8, x = this.#tensor(rows, d), logProbs = this.#tensor(rows, candidates);
    const w = this.#matrices(vocab, d, { bits: 8, group: 0, zero: 128 })[0]!;
    const ids = this.backend.alloc("bench", rows * candidates * 4, "activations");
    const op = { x, w, candidates, ids: { buffer: ids, offset: 0 }, logProbs };
    const ms = await this.stopwatch.time(() => this.backend.vocabTopK(op));
    for (const buffer of [x.buffer, w.buffer, logProbs.buffer, ids]) this.backend.free(buffer);
    const shape = `${rows} x ${d} -> ${vocab}`;
    const bytes = matrixBytes(w.layout);
    return this.#figure("vocabulary top 8, 8-bit", shape, ms, 2 * rows * d * vocab, bytes);
  }
}
