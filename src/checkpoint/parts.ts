/**
 * A checkpoint as its plan says: planned tensors made of stored ones that are stacked, joined, transposed, interleaved or
 * encoded. What reads it knows nothing of how they are stored.
 */
import { type ModelPlan, plannedTensors, type TensorPart } from "../base/plan.ts";
import { decodeMxfp4, MXFP4_GROUP } from "../quant/mxfp4.ts";
import {
  asMatrix,
  DTYPE_BYTES,
  type ReadOptions,
  type StoredTensors,
  type TensorInfo,
  type TensorSource,
} from "./contract.ts";
import { mxfp4Names, type TakenPart, takenParts } from "./stored.ts";

/** Weights of a band: 64 MiB as f32, which holds a whole matrix of every expert that is published transposed. */
const BAND_WEIGHTS = 2 ** 24;
/** Stored rows that are turned into columns at once: 4 MiB as f32, or one row. */
const TURNED_WEIGHTS = 2 ** 20;
/** Edge of the squares in which they are turned. */
const SQUARE = 32;

/**
 * The tensors of a plan, by its names and in its shapes; the source itself where every one is stored as it is. The source
 * must have been held against the plan. Closing it closes the source.
 *
 * Memory: a band of at most 64 MiB where rows are taken that do not lie one behind the other, 4 MiB to turn them, and of
 * MXFP4 an eighth of what is decoded at once.
 */
export function asPlanned(
  source: StoredTensors,
  plan: ModelPlan,
  bandWeights = BAND_WEIGHTS,
): TensorSource {
  for (const { parts } of plannedTensors(plan)) {
    if (parts !== undefined) return new PlannedSource(source, plan, bandWeights);
  }
  return source;
}

class PlannedSource implements TensorSource {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly #parts = new Map<string, readonly TakenPart[]>();
  /** Rows of the part that was read last, and of which part and row they are. */
  #band = { of: "", rows: new Float32Array(0) };
  /** Reads of bands are one at a time: there is one band. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(readonly source: StoredTensors, plan: ModelPlan, readonly bandWeights: number) {
    const tensors = new Map<string, TensorInfo>();
    for (const planned of plannedTensors(plan)) {
      const { name, shape } = planned;
      if (planned.parts === undefined) {
        tensors.set(name, source.tensors.get(name)!);
        continue;
      }
      const parts = takenParts(planned), { part } = parts[0]!;
      this.#parts.set(name, parts);
      const stored = part.encoding ? mxfp4Names(part.tensor).blocks : part.tensor;
      const { dtype, file } = source.tensors.get(stored)!;
      const length = parts.reduce((sum, p) => sum + this.#storedBytes(p), 0);
      tensors.set(name, { name, dtype, file, shape, byteRange: { offset: 0, length } });
    }
    this.tensors = tensors;
  }

  get origin(): string {
    return this.source.origin;
  }

  get identity(): string {
    return this.source.identity;
  }

  async readRows(
    name: string,
    rowStart: number,
    rowCount: number,
    options: ReadOptions<Float32Array<ArrayBuffer>> = {},
  ): Promise<Float32Array<ArrayBuffer>> {
    const parts = this.#parts.get(name);
    if (parts === undefined) return await this.source.readRows(name, rowStart, rowCount, options);
    const { shape } = this.tensors.get(name)!, { rows, cols } = asMatrix(shape);
    if (rowStart < 0 || rowCount < 0 || rowStart + rowCount > rows) {
      throw new RangeError(`cannot read ${rowCount} rows at ${rowStart} of ${name}'s ${rows}`);
    }
    const out = options.into?.subarray(0, rowCount * cols) ?? new Float32Array(rowCount * cols);
    // A vector is one row here, and one column where its parts are joined.
    const width = shape.length === 1 ? 1 : cols;
    const start = rowStart * cols / width, end = start + out.length / width;
    let at = 0;
    for (const part of parts) {
      const from = Math.max(start, at), to = Math.min(end, at + part.taken);
      const into = out.subarray((from - start) * width, (to - start) * width);
      if (from < to) await this.#read(part, from - at, into, options.signal);
      at += part.taken;
    }
    return out;
  }

  close(): void {
    this.source.close();
  }

  /** Fills `out` with taken rows from `start` on. */
  async #read(
    taken: TakenPart,
    start: number,
    out: Float32Array<ArrayBuffer>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { part, cols } = taken, { first = 0, step = 1 } = part.every ?? {};
    if (part.shape.length === (part.index === undefined ? 1 : 2)) {
      const all = await this.source.readRows(part.tensor, part.index ?? 0, 1, { signal });
      for (let i = 0; i < out.length; i++) out[i] = all[first + (start + i) * step]!;
      return;
    }
    const row = (i: number) => first + (start + i) * step, count = out.length / cols;
    if (step === 1 && !part.transposed) {
      return await this.#stored(part, row(0), out, signal);
    }
    const perBand = Math.max(1, Math.floor(this.bandWeights / cols));
    const next = this.#turn.then(async () => {
      for (let i = 0; i < count;) {
        const from = row(i) - row(i) % perBand, to = Math.min(from + perBand, taken.rows);
        const band = await this.#bandOf(taken, from, to, signal);
        for (; i < count && row(i) < to; i++) {
          const at = (row(i) - from) * cols;
          out.set(band.subarray(at, at + cols), i * cols);
        }
      }
    });
    this.#turn = next.catch(() => {});
    await next;
  }

  /** f32 [to - from, cols]: rows of a part before `every`, valid until the next call. */
  async #bandOf(
    { part, rows, cols }: TakenPart,
    from: number,
    to: number,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array<ArrayBuffer>> {
    const { tensor, index, transposed, encoding } = part;
    const of = [tensor, index, transposed, encoding, from].join(" ");
    const size = (to - from) * cols, band = this.#band;
    if (band.of === of) return band.rows;
    band.of = "";
    if (band.rows.length < size) band.rows = new Float32Array(size);
    if (!transposed) await this.#stored(part, from, band.rows.subarray(0, size), signal);
    else {
      const turned = Math.max(1, Math.floor(TURNED_WEIGHTS / rows));
      const some = new Float32Array(Math.min(turned, cols) * rows);
      for (let at = 0; at < cols; at += turned) {
        const count = Math.min(turned, cols - at);
        await this.#stored(part, at, some.subarray(0, count * rows), signal);
        turn(some, [count, rows], [from, to], band.rows.subarray(at), cols);
      }
    }
    band.of = of;
    return band.rows;
  }

  /** Fills `out` with whole rows of a part as they lie in its file, one behind the other. */
  async #stored(
    part: TensorPart,
    start: number,
    out: Float32Array<ArrayBuffer>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { tensor, index, shape } = part;
    const { rows, cols } = asMatrix(index === undefined ? shape : shape.slice(1));
    const from = (index ?? 0) * rows + start, count = out.length / cols;
    if (part.encoding === undefined) {
      await this.source.readRows(tensor, from, count, { into: out, signal });
      return;
    }
    const { blocks, scales } = mxfp4Names(tensor), groups = cols / MXFP4_GROUP;
    const [codes, exponents] = await Promise.all([
      this.source.readBytes(blocks, from * groups, count * groups, { signal }),
      this.source.readBytes(scales, from, count, { signal }),
    ]);
    decodeMxfp4(codes, exponents, out);
  }

  /** Bytes of the files that a part is read from. */
  #storedBytes({ part, taken, cols }: TakenPart): number {
    const weights = taken * cols;
    if (part.encoding !== undefined) return weights / 2 + weights / MXFP4_GROUP;
    return weights * DTYPE_BYTES[this.source.tensors.get(part.tensor)!.dtype];
  }
}

/**
 * Columns [from, to) of `some` [count, width] to rows of `out`, `step` elements apart; in squares, so that both sides
 * stay in the processor's caches.
 */
function turn(
  some: Float32Array,
  [count, width]: readonly [number, number],
  [from, to]: readonly [number, number],
  out: Float32Array,
  step: number,
): void {
  for (let c0 = from; c0 < to; c0 += SQUARE) {
    const c1 = Math.min(c0 + SQUARE, to);
    for (let r0 = 0; r0 < count; r0 += SQUARE) {
      const r1 = Math.min(r0 + SQUARE, count);
      for (let c = c0; c < c1; c++) {
        for (let r = r0, at = (c - from) * step + r0; r < r1; r++) out[at++] = some[r * width + c]!;
      }
    }
  }
}
