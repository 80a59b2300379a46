/** One expert's block with what calibration saw of its inputs. */
import type { ExpertLayout, ProjectionOffsets } from "../../base/layout.ts";
import type { ExpertLayerSpec } from "../../base/plan.ts";
import { MatrixEncoder } from "../../quant/encoder.ts";
import { dequantizeRow, type EncodedMatrix, viewMatrix } from "../../quant/matrix.ts";
import type { Compensation } from "../../quant/compensation.ts";
import type { Hessian } from "../../quant/moments.ts";
import type { Recipe } from "../../quant/quantizers.ts";
import type { ExpertTensors } from "../bases.ts";
import { copyBias } from "../bias.ts";
import type { ReadJob, RowChunk, RowReader } from "../row_reader.ts";
import { activationOf } from "./activation.ts";
import type { Calibration } from "./file.ts";
import { FirstProducts, hessianOf, samplesOf } from "./inputs.ts";

export interface CalibratedWork {
  readonly recipe: Recipe;
  readonly layout: ExpertLayout;
  readonly calibration: Calibration;
  /** Ordinal of the layer among the plan's. */
  readonly ordinal: number;
  /** For the bases that its matrices are added to. */
  readonly tensors: ExpertTensors;
  readonly onChunk: (chunk: RowChunk) => void;
}

/**
 * Encodes fc1 by its inputs' moments, then fc2 by those of the hidden layer that follows from them; with error feedback
 * fc2 makes up for some of what fc1's rounding changed, and biases take up the mean error. Memory beside the block: the
 * samples' inputs and fc1's product with them twice, and the Hessian's blocks.
 *
 * @throws MoqeError `unsupported` for experts that are no two matrices with their activation between them
 */
export async function encodeCalibrated(
  reader: RowReader,
  layer: ExpertLayerSpec,
  expert: number,
  work: CalibratedWork,
): Promise<Uint8Array<ArrayBuffer>> {
  const [fc1, fc2] = layer.projections;
  const activation = activationOf(layer);
  const block = new Uint8Array(work.layout.bytes);
  const samples = samplesOf(work.calibration, work.ordinal, expert, fc2!.cols);
  const rotated = work.recipe.format.rotated === true;
  const one = new Projection(reader, layer, expert, work, block, 0);
  const before = new FirstProducts(samples, fc1!.cols, fc1!.rows);
  await one.encode(
    hessianOf(samples, fc1!.cols, { rotated, centred: fc1!.bias }),
    (row, exact, rounded, bias) => before.add(row, exact, rounded, bias),
  );
  const hidden = before.activated(activation);
  const two = new Projection(reader, layer, expert, work, block, 1);
  const means = hidden.means();
  const { hessian, compensation } = hidden.seenByFc2({
    rotated,
    centred: fc2!.bias,
    feedback: work.recipe.rounding === "gptq",
  });
  await two.encode(
    hessian,
    (_, exact, rounded, bias = 0) => {
      let error = 0;
      for (let c = 0; c < exact.length; c++) {
        error += exact[c]! * means.exact[c]! - rounded[c]! * means.rounded[c]!;
      }
      return bias + error;
    },
    compensation,
  );
  return block;
}

/** Told each row of a matrix before and after, its base's in both, and its bias; answers the bias to write. */
type OnRow = (
  row: number,
  exact: Float32Array,
  rounded: Float32Array,
  bias: number | undefined,
) => number;

/** One matrix of the block. */
class Projection {
  readonly #at: ProjectionOffsets;
  readonly #bias: Float32Array | undefined;
  readonly #jobs: ReadJob[] = [];
  readonly #name: string;
  readonly #matrix: EncodedMatrix;

  constructor(
    readonly reader: RowReader,
    readonly layer: ExpertLayerSpec,
    readonly expert: number,
    readonly work: CalibratedWork,
    readonly block: Uint8Array<ArrayBuffer>,
    readonly index: number,
  ) {
    const { rows, cols, bias, name } = layer.projections[index]!;
    const names = layer.tensorNames(expert, name);
    this.#at = work.layout.projections[index]!;
    this.#name = names.weight;
    if (bias) {
      this.#bias = new Float32Array(block.buffer, this.#at.biasOffset, rows);
      this.#jobs.push({ name: names.bias, rows: 1, cols: rows });
    }
    this.#jobs.push({ name: names.weight, rows, cols });
    this.#matrix = viewMatrix(block, rows, cols, work.recipe.format, this.#at);
  }

  /** @param compensation changes what is rounded; `onRow` still has the row of the checkpoint */
  async encode(hessian: Hessian, onRow: OnRow, compensation?: Compensation): Promise<void> {
    const { layout } = this.#at, { rows, cols, rowBytes, groups } = layout;
    const encoder = new MatrixEncoder(this.#name, rows, cols, this.work.recipe, hessian);
    const exact = new Float32Array(cols), rounded = new Float32Array(cols);
    const { layer, expert, index } = this;
    const base = await this.work.tensors.base(layer, expert, layer.projections[index]!.name);
    let wanted = new Float32Array(0);
    for await (const chunk of this.reader.read(this.#jobs)) {
      this.work.onChunk(chunk);
      if (chunk.job.name !== this.#name) {
        copyBias(chunk, this.#bias!);
        continue;
      }
      const { data, rowStart, rowCount } = chunk;
      const codes = this.block.subarray(this.#at.codesOffset + rowStart * rowBytes);
      const scalesAt = this.#at.scalesOffset + rowStart * groups * 2;
      const scales = new Uint16Array(this.block.buffer, scalesAt, rowCount * groups);
      if (compensation && wanted.length < rowCount * cols) {
        wanted = new Float32Array(rowCount * cols);
      }
      for (let r = 0; r < rowCount && compensation; r++) {
        const row = wanted.subarray(r * cols, (r + 1) * cols), at = (rowStart + r) * cols;
        for (let c = 0; c < cols; c++) exact[c] = data[r * cols + c]! + (base?.[at + c] ?? 0);
        compensation.apply(exact, row);
        for (let c = 0; c < cols && base !== undefined; c++) row[c]! -= base[at + c]!;
      }
      encoder.encodeRows(compensation ? wanted : data, rowCount, codes, scales);
      for (let r = 0; r < rowCount; r++) {
        dequantizeRow(this.#matrix, rowStart + r, rounded);
        exact.set(data.subarray(r * cols, (r + 1) * cols));
        for (let c = 0, at = (rowStart + r) * cols; c < cols && base !== undefined; c++, at++) {
          exact[c]! += base[at]!;
          rounded[c]! += base[at]!;
        }
        const bias = onRow(rowStart + r, exact, rounded, this.#bias?.[rowStart + r]);
        if (this.#bias !== undefined) this.#bias[rowStart + r] = bias;
      }
    }
  }
}
