/** A decoder step of a geometry with random weights, taken apart: recording, submission, and waiting for its end. */
import {
  type ExpertLayout,
  expertLayout,
  F32,
  type MatrixFormat,
  matrixLayout,
} from "../../src/base/layout.ts";
import { plausibleBytes } from "./kernels.ts";
import type { Geometry, Widths } from "./geometry.ts";
import {
  type Arena,
  type Backend,
  type DeviceRange,
  type KvLayer,
  kvPageBytes,
  type Matrix,
  PAGE_TOKENS,
  type SlotLookup,
  type Tensor,
  type Vector,
} from "../../src/backend/contract.ts";

export interface StepFigure {
  batch: number;
  /** Medians, one step after the other: recording, submission, and waiting with the readback. */
  encodeMs: number;
  submitMs: number;
  waitMs: number;
  /** A step of several that are recorded without waiting: what the device needs, or recording where that is slower. */
  overlappedMs: number;
  /** A step that is submitted every few layers, so that the device begins before all of it is recorded. */
  piecesMs: number;
  operations: number;
}

const POSITIONS = 64;
const TOP_K = 2;
const CANDIDATES = 2;
const STEPS = 9;
const OVERLAPPED = 6;
/** Layers of a piece. */
const PIECE = 4;

/** Rows of the largest step. */
export const MOST_BATCH = 64;

interface Layer {
  matrices: Record<"q" | "k" | "v" | "o" | "cq" | "co", Matrix>;
  kv: KvLayer;
  dense: { fc1: Matrix; fc2: Matrix } | undefined;
  sparse: { classifier: Matrix; table: DeviceRange; firstSlot: number } | undefined;
}

type TensorName = "x" | "h" | "q" | "k" | "v" | "a" | "f" | "e" | "w" | "p";

/** One geometry on a backend; owns what it allocates until the backend closes. */
export class StepBench {
  readonly #layers: Layer[];
  readonly #head: Matrix;
  readonly #norm: Vector;
  readonly #arenas: readonly Arena[];
  readonly #layout: ExpertLayout;
  readonly #tensors: Record<TensorName, Tensor>;
  readonly #ranges: Record<"chosen" | "places" | "live" | "faults" | "ids", DeviceRange>;

  constructor(readonly backend: Backend, readonly geometry: Geometry, widths: Widths) {
    const g = geometry, d = g.dModel;
    const sparse = Math.floor(g.layers / g.sparseEvery);
    const bias = false;
    this.#layout = expertLayout([
      { name: "fc1", rows: g.dFf, cols: d, bias },
      { name: "fc2", rows: d, cols: g.dFf, bias },
    ], widths.experts);
    this.#arenas = backend.createArenas(this.#layout.bytes, sparse * g.experts);
    this.#fillArenas(widths.experts);
    const pages = MOST_BATCH * POSITIONS / PAGE_TOKENS;
    let firstSlot = 0;
    this.#layers = Array.from({ length: g.layers }, (_, i) => {
      const isSparse = (i + 1) % g.sparseEvery === 0;
      const layer: Layer = {
        matrices: {
          q: this.#matrix(d, d, widths.trunk),
          k: this.#matrix(d, d, widths.trunk),
          v: this.#matrix(d, d, widths.trunk),
          o: this.#matrix(d, d, widths.trunk),
          cq: this.#matrix(d, d, widths.trunk),
          co: this.#matrix(d, d, widths.trunk),
        },
        kv: {
          buffer: this.#bytes(pages * kvPageBytes(d, 16)),
          offset: 0,
          pages,
          width: d,
          bits: 16,
        },
        dense: isSparse ? undefined : {
          fc1: this.#matrix(g.dFf, d, widths.trunk),
          fc2: this.#matrix(d, g.dFf, widths.trunk),
        },
        sparse: isSparse ? this.#sparse(firstSlot) : undefined,
      };
      if (isSparse) firstSlot += g.experts;
      return layer;
    });
    this.#head = this.#matrix(g.vocab, d, widths.trunk);
    const norm = this.#range(new Float32Array(d).fill(1));
    this.#norm = { ...norm, length: d };
    const tensor = (rows: number, cols: number): Tensor => ({
      ...this.#range(Float32Array.from({ length: rows * cols }, () => Math.random() - 0.5)),
      rows,
      cols,
    });
    const b = MOST_BATCH;
    this.#tensors = {
      x: tensor(b, d),
      h: tensor(b, d),
      q: tensor(b, d),
      k: tensor(b, d),
      v: tensor(b, d),
      a: tensor(b, d),
      f: tensor(b, g.dFf),
      e: tensor(b * TOP_K, d),
      w: tensor(b, TOP_K),
      p: tensor(b, CANDIDATES),
    };
    const ints = (n: number, value: number) => this.#range(new Int32Array(n).fill(value));
    this.#ranges = {
      chosen: ints(b * TOP_K, 0),
      places: ints(b * TOP_K, 0),
      live: ints(b, 1),
      faults: ints(b, -1),
      ids: ints(b * CANDIDATES, 0),
    };
  }

  #bytes(bytes: number) {
    return this.backend.alloc("bench", bytes, "trunk");
  }

  #range(data: Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>): DeviceRange {
    const buffer = this.#bytes(data.byteLength);
    this.backend.write(buffer, 0, new Uint8Array(data.buffer));
    return { buffer, offset: 0 };
  }

  #matrix(n: number, k: number, format: MatrixFormat): Matrix {
    const bytes = plausibleBytes(n, k, format), buffer = this.#bytes(bytes.length);
    this.backend.write(buffer, 0, bytes);
    return { buffer, offset: 0, layout: matrixLayout(n, k, format), format };
  }

  #sparse(firstSlot: number): Layer["sparse"] {
    const { experts, dModel } = this.geometry;
    const table = Int32Array.from({ length: experts }, (_, e) => firstSlot + e);
    const classifier = this.#matrix(experts, dModel, F32);
    return { classifier, table: this.#range(table), firstSlot };
  }

  #fillArenas(format: MatrixFormat): void {
    const block = plausibleBytes(1, this.#layout.bytes * 8 / format.bits, format)
      .subarray(0, this.#layout.bytes);
    for (const p of this.#layout.projections) {
      const count = p.layout.scalesBytes / 2;
      new Float16Array(block.buffer, p.scalesOffset, count).fill(1 / 64);
    }
    for (const arena of this.#arenas) {
      for (let slot = 0; slot < arena.slots; slot++) {
        this.backend.write(arena.buffer, slot * arena.slotBytes, block);
      }
    }
  }

  /** The first rows of a tensor. */
  #view(name: TensorName, rows: number): Tensor {
    return { ...this.#tensors[name], rows };
  }

  #record(rows: number, submitEvery = Infinity): void {
    const { backend, geometry: g } = this, t = (n: TensorName) => this.#view(n, rows);
    const [x, h, q, k, v, a] = (["x", "h", "q", "k", "v", "a"] as const).map(t) as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
    ];
    const perRow = POSITIONS / PAGE_TOKENS;
    const pageTable = Int32Array.from({ length: rows * perRow }, (_, i) => i);
    const lengths = new Int32Array(rows).fill(POSITIONS);
    const places = Int32Array.from({ length: rows }, (_, i) => i * POSITIONS + 5);
    const normalize = () =>
      backend.layerNorm({ x, weight: this.#norm, bias: this.#norm, epsilon: 1e-5, out: h });
    const attend = (kv: KvLayer) =>
      backend.pagedAttention({
        q,
        heads: g.heads,
        kv,
        pageTable,
        pagesPerRow: perRow,
        lengths,
        out: a,
      });
    for (const [i, { matrices: m, kv, dense, sparse }] of this.#layers.entries()) {
      if (i > 0 && i % submitEvery === 0) backend.submit();
      normalize();
      backend.linear({ x: h, w: m.q, out: q });
      backend.linear({ x: h, w: m.k, out: k });
      backend.linear({ x: h, w: m.v, out: v });
      backend.storeKv({ k, v, kv, places });
      attend(kv);
      backend.linear({ x: a, w: m.o, residual: x, out: x });
      normalize();
      backend.linear({ x: h, w: m.cq, out: q });
      attend(kv);
      backend.linear({ x: a, w: m.co, residual: x, out: x });
      normalize();
      if (dense !== undefined) {
        backend.linear({ x: h, w: dense.fc1, activation: "relu", out: t("f") });
        backend.linear({ x: t("f"), w: dense.fc2, residual: x, out: x });
      } else this.#experts(sparse!, rows, x, h);
    }
    normalize();
    const candidates = CANDIDATES, ids = this.#ranges.ids;
    backend.vocabTopK({ x: h, w: this.#head, candidates, ids, logProbs: t("p") });
  }

  #experts(sparse: NonNullable<Layer["sparse"]>, rows: number, x: Tensor, h: Tensor): void {
    const { backend } = this, { chosen, places, live, faults } = this.#ranges;
    const weights = this.#view("w", rows), out = this.#view("e", rows * TOP_K);
    const each = Int32Array.from({ length: rows }, (_, i) => i);
    const lookup: SlotLookup = {
      table: sparse.table,
      places,
      live,
      faults,
      layer: 0,
      groupStarts: each,
      groupLengths: new Int32Array(rows).fill(1),
    };
    const { classifier } = sparse, topK = TOP_K, weighting = "share", mask = live;
    backend.router({ x: h, classifier, topK, weighting, experts: chosen, weights, mask, lookup });
    const common = { x: h, topK, arenas: this.#arenas, layout: this.#layout, mask } as const;
    backend.experts({ ...common, places, layoutIndex: 0, activation: "relu", out });
    backend.combine({ expertOut: out, weights, topK, scale: 1, residual: x, out: x });
  }

  /** Measures steps of `batch` rows. */
  async measure(batch: number): Promise<StepFigure> {
    const { backend } = this, wait = () => backend.readback(this.#ranges.ids.buffer, 0, batch * 8);
    const parts: [number, number, number][] = [];
    const before = backend.counters().operations;
    this.#record(batch);
    const operations = backend.counters().operations - before;
    await wait();
    for (let i = 0; i < STEPS; i++) {
      const start = performance.now();
      this.#record(batch);
      const recorded = performance.now();
      backend.submit();
      const submitted = performance.now();
      await wait();
      parts.push([recorded - start, submitted - recorded, performance.now() - submitted]);
    }
    const pieces: number[] = [];
    for (let i = 0; i < STEPS; i++) {
      const start = performance.now();
      this.#record(batch, PIECE);
      await wait();
      pieces.push(performance.now() - start);
    }
    const start = performance.now();
    for (let i = 0; i < OVERLAPPED; i++) {
      this.#record(batch);
      backend.submit();
    }
    await wait();
    const overlappedMs = (performance.now() - start) / OVERLAPPED;
    const [encodeMs, submitMs, waitMs] = [0, 1, 2].map((i) => median(parts.map((p) => p[i]!)));
    return {
      batch,
      encodeMs: encodeMs!,
      submitMs: submitMs!,
      waitMs: waitMs!,
      overlappedMs,
      piecesMs: median(pieces),
      operations,
    };
  }
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1]!;
}
