/** What a token costs a model without an encoder on this machine: bytes that it reads, and the time of its products. */
import { createHash } from "node:crypto";
import { createCpuBackend } from "../backend/cpu/backend.ts";
import { cpuScratchBytes } from "../backend/cpu/scratch.ts";
import type { Backend } from "../backend/contract.ts";
import { matrixBytes, type MatrixFormat, matrixLayout } from "../base/layout.ts";
import { Ledger } from "../base/ledger.ts";
import type { ModelPlan } from "../base/plan.ts";
import type { ModelSpec } from "../nn/spec.ts";
import type { Manifest } from "../store/manifest.ts";
import type { BudgetPlan } from "./budget.ts";

export interface TokenCost {
  /** Experts that a token is routed to, over all layers. */
  readonly routed: number;
  /** Share of them that is resident, where experts are used evenly: the worst case. */
  readonly hitRate: number;
  /** Bytes of experts that are read for a token. */
  readonly readBytes: number;
  /** Products of one token on one thread of this machine, and the hashing of what it reads. */
  readonly computeMs: number;
  readonly hashMs: number;
}

/** Bytes of a measured matrix: more than a processor's caches hold, as a model's weights are when their turn comes. */
const MEASURED_BYTES = 64 * 2 ** 20;
const MEASURE_MS = 60;
const HASHED_BYTES = 4 * 2 ** 20;
/** Operations of a layer beside its products: norms, attention, router, combination. */
const CALLS_A_LAYER = 10;

/** Measures this machine for a fraction of a second. */
export async function tokenCost(
  manifest: Pick<Manifest, "formats" | "trunk" | "expertLayers">,
  plan: ModelPlan,
  spec: ModelSpec,
  budget: BudgetPlan,
): Promise<TokenCost> {
  const routedIn = spec.decoder.layers.map(({ feedForward: f }) =>
    f.kind === "sparse" ? f.topK : 0
  );
  const routed = routedIn.reduce((a, b) => a + b, 0);
  const hitRate = budget.slotsForAll === 0 ? 1 : Math.min(1, budget.slots / budget.slotsForAll);
  const readBytes = (1 - hitRate) * routed * budget.slotBytes;
  const speeds = await Speeds.open(spec);
  try {
    let computeMs = 0;
    for (const { name, shape, format } of manifest.trunk) {
      if (shape.length < 2 || name === spec.embedding.table && hasHead(manifest, spec)) continue;
      computeMs += await speeds.product(manifest.formats[format]!, shape[0]!, shape[1]!);
    }
    for (const [l, { projections }] of plan.expertLayers.entries()) {
      const format = manifest.formats[manifest.expertLayers[l]!.experts[0]!.format]!;
      for (const { rows, cols } of projections) {
        computeMs += routedIn.filter((k) => k > 0)[l]! * await speeds.product(format, rows, cols);
      }
    }
    computeMs += spec.decoder.layers.length * CALLS_A_LAYER * await speeds.call();
    return { routed, hitRate, readBytes, computeMs, hashMs: readBytes * hashMsAByte() };
  } finally {
    speeds.close();
  }
}

function hasHead({ trunk }: Pick<Manifest, "trunk">, spec: ModelSpec): boolean {
  return trunk.some((t) => t.name === spec.lmHead);
}

/** Times of products of one row, by format, measured once each. */
class Speeds {
  readonly #msAWeight = new Map<string, number>();
  #callMs: number | undefined;

  private constructor(private readonly backend: Backend) {}

  static async open(spec: ModelSpec): Promise<Speeds> {
    const maxCols = Math.max(spec.dModel, spec.maxHidden, 64);
    const shape = { maxRows: 1, maxCols, maxHidden: spec.maxHidden, topK: 1, maxCandidates: 1 };
    const gpuBytes = cpuScratchBytes(shape) + 2 * MEASURED_BYTES;
    const backend = await createCpuBackend({ ledger: new Ledger({ gpuBytes, hostBytes: 0 }) });
    backend.prepare(shape);
    return new Speeds(backend);
  }

  /** Milliseconds of one row times a matrix [rows, cols]. */
  async product(format: MatrixFormat, rows: number, cols: number): Promise<number> {
    const key = JSON.stringify(format);
    let found = this.#msAWeight.get(key);
    if (found === undefined) {
      const rowBytes = matrixBytes(matrixLayout(16, cols, format)) / 16;
      const n = 16 * Math.max(1, Math.floor(MEASURED_BYTES / rowBytes / 16));
      found = (await this.#time(format, n, cols) - await this.call()) / (n * cols);
      this.#msAWeight.set(key, found);
    }
    return rows * cols * found + await this.call();
  }

  /** Milliseconds of a call that does next to nothing. */
  async call(): Promise<number> {
    return this.#callMs ??= await this.#time({ bits: 32, group: 0, zero: 0 }, 4, 64);
  }

  /** The best of several. */
  async #time(format: MatrixFormat, n: number, cols: number): Promise<number> {
    const layout = matrixLayout(n, cols, format), { backend } = this;
    const take = (label: string, bytes: number) => backend.alloc(label, bytes, "activations");
    const buffers = [take("w", matrixBytes(layout)), take("x", cols * 4), take("out", n * 4)];
    const [w, x, out] = buffers as [typeof buffers[0], typeof buffers[0], typeof buffers[0]];
    // Memory that was never written to is one page of zeros, which a cache holds.
    const ones = new Uint8Array(Math.min(w.bytes, 2 ** 16)).fill(1);
    for (let at = 0; at < w.bytes; at += ones.length) {
      backend.write(w, at, ones.subarray(0, w.bytes - at));
    }
    const op = {
      w: { buffer: w, offset: 0, layout, format },
      x: { buffer: x, offset: 0, rows: 1, cols },
      out: { buffer: out, offset: 0, rows: 1, cols: n },
    };
    let best = Infinity;
    const end = performance.now() + MEASURE_MS;
    for (let i = 0; i < 3 || performance.now() < end; i++) {
      const start = performance.now();
      backend.linear(op);
      best = Math.min(best, performance.now() - start);
    }
    for (const b of buffers) backend.free(b);
    return await Promise.resolve(best);
  }

  close(): void {
    this.backend.close();
  }
}

/** As the store checks what it reads. */
function hashMsAByte(): number {
  const bytes = new Uint8Array(HASHED_BYTES).fill(1);
  const hash = () => createHash("sha256").update(bytes).digest("hex");
  hash();
  const start = performance.now();
  hash();
  return (performance.now() - start) / HASHED_BYTES;
}
