/**
 * What a decoder step takes and gives on the device: what the host wants to know (where rows stopped, which experts
 * were chosen, the best next tokens) lies in one range for one readback.
 */
import { alignUp } from "../base/units.ts";
import type { Backend, DeviceBuffer, DeviceRange, Tensor } from "../backend/contract.ts";
import type { DecodeRows, StepRows } from "./context.ts";
import { indexBytes, PART_ALIGN, RowIndices, type RowShape } from "./row_indices.ts";
import type { ModelSpec } from "./spec.ts";

/** The largest step that will come. */
export interface StepShape extends RowShape {
  readonly maxCandidates: number;
}

/** A sparse layer of the decoder: its ordinal among the model's and experts a token. */
interface SparseLayer {
  readonly layer: number;
  readonly topK: number;
}

/** What the host learns of a step. Arrays are views of what was read back. */
export interface StepResult {
  /** Candidates a row. */
  readonly count: number;
  /** [T, count], best first; rows that were not wanted or stopped hold stale values. */
  readonly ids: Int32Array;
  readonly logProbs: Float32Array;
  /** [T] sparse layer (ordinal) at which the row missed an expert and stopped; -1 where it ran to the end. */
  readonly faults: Int32Array;
  /** Experts chosen, [T, topK], by ordinal of the layer; stale for rows that did not run there. */
  choices(layer: number): Int32Array;
}

/** A step's rows on the device, and where its results will lie. */
export interface StepView {
  readonly rows: StepRows;
  /** Place of each row in its sequence. */
  readonly positions: Int32Array;
  /** u32 [T]. */
  readonly live: DeviceRange;
  readonly faults: DeviceRange;
  choices(layer: number): DeviceRange;
  readonly ids: DeviceRange;
  readonly logProbs: Tensor;
  /** Rows that join at this layer are live from here on. */
  wake(layer: number): void;
  /** Rows whose successor is known are out from here on. */
  dropUnwanted(): void;
  read(): Promise<StepResult>;
}

/** Bytes of the buffers below. */
export function stepBytes(spec: ModelSpec, shape: StepShape): number {
  const { live, flags, report } = sizes(spec, shape);
  return indexBytes(shape) + live + flags + report;
}

function sizes(spec: ModelSpec, s: StepShape) {
  const perRow = s.maxRows * 4;
  return {
    live: perRow,
    flags: 2 * perRow,
    report: reportParts(sparseLayers(spec), s.maxRows, s.maxCandidates).bytes,
  };
}

function sparseLayers(spec: ModelSpec): SparseLayer[] {
  return spec.decoder.layers.flatMap(({ feedForward: f }) =>
    f.kind === "sparse" ? [{ layer: f.expertLayer, topK: f.topK }] : []
  );
}

/** Byte offsets of a report of T rows. */
interface ReportParts {
  readonly choices: ReadonlyMap<number, { at: number; topK: number }>;
  readonly ids: number;
  readonly logProbs: number;
  readonly bytes: number;
}

function reportParts(layers: readonly SparseLayer[], rows: number, count: number): ReportParts {
  let top = 0;
  const take = (bytes: number) => {
    const at = top;
    top += alignUp(bytes, PART_ALIGN);
    return at;
  };
  take(rows * 4);
  const choices = new Map(
    layers.map(({ layer, topK }) => [layer, { at: take(rows * topK * 4), topK }]),
  );
  return { choices, ids: take(rows * count * 4), logProbs: take(rows * count * 4), bytes: top };
}

/** The buffers of a step, taken once at the largest size. */
export class StepBuffers {
  readonly #layers: readonly SparseLayer[];
  readonly #indices: RowIndices;
  readonly #live: DeviceBuffer;
  /** u32 [maxRows] ones, then zeros: `live` is changed within a step by copies. */
  readonly #flags: DeviceBuffer;
  readonly #report: DeviceBuffer;

  constructor(
    private readonly backend: Backend,
    spec: ModelSpec,
    private readonly shape: StepShape,
  ) {
    this.#layers = sparseLayers(spec);
    const { live, flags, report } = sizes(spec, shape);
    this.#indices = new RowIndices(backend, shape);
    this.#live = backend.alloc("live rows", live, "activations");
    this.#flags = backend.alloc("flags", flags, "activations");
    this.#report = backend.alloc("step report", report, "activations");
    backend.write(this.#flags, 0, new Uint8Array(new Uint32Array(shape.maxRows).fill(1).buffer));
  }

  /** Uploads a step's indices. What it returns is valid until the next one begins. */
  begin(rows: DecodeRows, count: number): StepView {
    const { backend } = this, total = rows.ids.length;
    const parts = reportParts(this.#layers, total, count);
    const live = rows.resumeAt.map((layer) => layer < 0 ? 1 : 0);
    backend.write(this.#live, 0, new Uint8Array(live.buffer));
    backend.write(this.#report, 0, new Uint8Array(new Int32Array(total).fill(-1).buffer));
    const range = (offset: number): DeviceRange => ({ buffer: this.#report, offset });
    return {
      rows: this.#indices.begin(rows),
      positions: rows.selfLengths.map((n) => n - 1),
      live: { buffer: this.#live, offset: 0 },
      faults: range(0),
      choices: (layer) => range(parts.choices.get(layer)!.at),
      ids: range(parts.ids),
      logProbs: { ...range(parts.logProbs), rows: total, cols: count },
      wake: (layer) => this.#flag(rows.resumeAt, layer, 1),
      dropUnwanted: () => this.#flag(rows.wanted, 0, 0),
      read: async () => {
        const { buffer, byteOffset } = await backend.readback(this.#report, 0, parts.bytes);
        const ints = (at: number, n: number) => new Int32Array(buffer, byteOffset + at, n);
        return {
          count,
          ids: ints(parts.ids, total * count),
          logProbs: new Float32Array(buffer, byteOffset + parts.logProbs, total * count),
          faults: ints(0, total),
          choices: (layer) => {
            const { at, topK } = parts.choices.get(layer)!;
            return ints(at, total * topK);
          },
        };
      },
    };
  }

  /** Sets `live` of every row whose `values` entry is `value`; neighbours in one copy. */
  #flag(values: Int32Array, value: number, flag: 0 | 1): void {
    const from = flag === 1 ? 0 : this.shape.maxRows * 4;
    for (let t = 0; t < values.length; t++) {
      if (values[t] !== value) continue;
      let end = t + 1;
      while (values[end] === value) end++;
      this.backend.copy(this.#flags, from, this.#live, t * 4, (end - t) * 4);
      t = end;
    }
  }

  free(): void {
    this.#indices.free();
    for (const b of [this.#live, this.#flags, this.#report]) this.backend.free(b);
  }
}
