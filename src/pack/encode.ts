/** Tensors to blocks: trunk tensors cut to size, an expert as one block. */
import { type ExpertLayout, matrixBytes } from "../base/layout.ts";
import type { ExpertLayerSpec } from "../base/plan.ts";
import { MatrixEncoder } from "../quant/encoder.ts";
import type { Recipe } from "../quant/quantizers.ts";
import { TRUNK_BLOCK_BYTES } from "../store/manifest.ts";
import { copyBias } from "./bias.ts";
import type { RowChunk, RowReader } from "./row_reader.ts";
import { rowsAndCols } from "./sizes.ts";
import type { TrunkItem } from "./widths.ts";

/** Scales of a matrix lie behind its codes; up to this many bytes wait in memory, more are computed again. */
const MAX_KEPT_SCALES = 64 * 2 ** 20;

/** Blocks of a trunk tensor in order, each a buffer of its own. Memory: one block and the scales. */
export async function* encodeTrunk(
  reader: RowReader,
  item: TrunkItem,
  onChunk: (chunk: RowChunk) => void = () => {},
  maxKeptScales = MAX_KEPT_SCALES,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const { rows, cols } = rowsAndCols(item.shape);
  const encoder = new MatrixEncoder(item.name, rows, cols, item.recipe);
  const { rowBytes, groups } = encoder.layout;
  const keep = rows * groups * 2 <= maxKeptScales;
  const scales = new Uint16Array(keep ? rows * groups : 0);
  const cutter = new Cutter(matrixBytes(encoder.layout));
  const jobs = [{ name: item.source, rows, cols }];
  const pass = async function* (want: "codes" | "scales") {
    let codes = new Uint8Array(0), some = new Uint16Array(0);
    for await (const chunk of reader.read(jobs)) {
      const { data, rowStart, rowCount } = chunk;
      if (want === "codes") onChunk(chunk);
      if (codes.length < rowCount * rowBytes) codes = new Uint8Array(rowCount * rowBytes);
      if (keep) some = scales.subarray(rowStart * groups, (rowStart + rowCount) * groups);
      else if (some.length !== rowCount * groups) some = new Uint16Array(rowCount * groups);
      encoder.encodeRows(data, rowCount, codes, some);
      yield want === "codes" ? codes.subarray(0, rowCount * rowBytes) : bytesOf(some);
    }
  };
  for await (const codes of pass("codes")) yield* cutter.push(codes);
  if (groups > 0) {
    if (keep) yield* cutter.push(bytesOf(scales));
    else for await (const some of pass("scales")) yield* cutter.push(some);
  }
  yield* cutter.end();
}

/** Cuts a stream of known length into blocks; what the stream lacks of it at the end is zero. */
class Cutter {
  #block: Uint8Array<ArrayBuffer>;
  #at = 0;
  #left: number;

  constructor(total: number) {
    this.#left = total;
    this.#block = this.#next();
  }

  *push(bytes: Uint8Array): Generator<Uint8Array<ArrayBuffer>> {
    for (let from = 0; from < bytes.length;) {
      const n = Math.min(bytes.length - from, this.#block.length - this.#at);
      this.#block.set(bytes.subarray(from, from + n), this.#at);
      from += n;
      this.#at += n;
      if (this.#at < this.#block.length) continue;
      yield this.#block;
      this.#block = this.#next();
    }
  }

  *end(): Generator<Uint8Array<ArrayBuffer>> {
    while (this.#block.length > 0) {
      yield this.#block;
      this.#block = this.#next();
    }
  }

  #next(): Uint8Array<ArrayBuffer> {
    const size = Math.min(this.#left, TRUNK_BLOCK_BYTES);
    this.#left -= size;
    this.#at = 0;
    return new Uint8Array(size);
  }
}

function bytesOf(words: Uint16Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

/** One expert's block, as base/layout.ts says it lies. `onChunk` is told of every chunk read. */
export async function encodeExpert(
  reader: RowReader,
  layer: ExpertLayerSpec,
  expert: number,
  work: { recipe: Recipe; layout: ExpertLayout; onChunk: (chunk: RowChunk) => void },
): Promise<Uint8Array<ArrayBuffer>> {
  const block = new Uint8Array(work.layout.bytes);
  for (const [p, projection] of layer.projections.entries()) {
    const names = layer.tensorNames(expert, projection.name);
    const { rows, cols } = projection;
    const { layout, codesOffset, scalesOffset, biasOffset } = work.layout.projections[p]!;
    const encoder = new MatrixEncoder(names.weight, rows, cols, work.recipe);
    const jobs = [{ name: names.weight, rows, cols }];
    if (projection.bias) jobs.push({ name: names.bias, rows: 1, cols: rows });
    for await (const chunk of reader.read(jobs)) {
      work.onChunk(chunk);
      if (chunk.job !== jobs[0]) {
        copyBias(chunk, new Float32Array(block.buffer, biasOffset, rows));
        continue;
      }
      const codes = block.subarray(codesOffset + chunk.rowStart * layout.rowBytes);
      const at = scalesOffset + chunk.rowStart * layout.groups * 2;
      const scales = new Uint16Array(block.buffer, at, chunk.rowCount * layout.groups);
      encoder.encodeRows(chunk.data, chunk.rowCount, codes, scales);
    }
  }
  return block;
}
