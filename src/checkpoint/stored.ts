/** Which tensors a plan asks of a checkpoint, by the names and in the shapes that files have. */
import { MoqeError } from "../base/errors.ts";
import { type ModelPlan, plannedTensors, type TensorPart, type TensorSpec } from "../base/plan.ts";
import { MXFP4_GROUP } from "../quant/mxfp4.ts";
import { asMatrix, type DType } from "./contract.ts";

/** Types that weights are read from. */
export const WEIGHT_TYPES: readonly DType[] = ["F32", "F16", "BF16"];
const BYTES: readonly DType[] = ["U8"];

/** A tensor as a checkpoint should have it. */
export interface StoredTensor {
  readonly shape: readonly number[];
  readonly types: readonly DType[];
}

/** The two tensors that an MXFP4 part is stored in. */
export function mxfp4Names(tensor: string): { blocks: string; scales: string } {
  return { blocks: `${tensor}_blocks`, scales: `${tensor}_scales` };
}

/** By canonical name, in the plan's order; a tensor that several planned ones are made of is there once. */
export function storedTensors(plan: ModelPlan): Map<string, StoredTensor> {
  const stored = new Map<string, StoredTensor>();
  const add = (name: string, shape: readonly number[], types = WEIGHT_TYPES) => {
    const known = stored.get(name);
    if (known === undefined) stored.set(name, { shape, types });
    else if (known.shape.join() !== shape.join()) {
      throw new RangeError(`a plan has ${name} as [${known.shape}] and as [${shape}]`);
    }
  };
  for (const planned of plannedTensors(plan)) {
    if (planned.parts === undefined) add(planned.name, planned.shape);
    for (const { part } of takenParts(planned)) {
      if (part.encoding === undefined) {
        add(part.tensor, part.shape);
        continue;
      }
      const names = mxfp4Names(part.tensor), groups = part.shape.at(-1)! / MXFP4_GROUP;
      const scales = [...part.shape.slice(0, -1), groups];
      add(names.blocks, [...scales, MXFP4_GROUP / 2], BYTES);
      add(names.scales, scales, BYTES);
    }
  }
  return stored;
}

/** A part as a matrix, of a vector one column: its rows before `every`, and how many of them are taken. */
export interface TakenPart {
  readonly part: TensorPart;
  readonly rows: number;
  readonly cols: number;
  readonly taken: number;
}

/**
 * The parts of a planned tensor; none where it is stored as it is. Throws RangeError where they do not make it, MoqeError
 * `unsupported` for MXFP4 of rows that are no whole groups.
 */
export function takenParts(
  { name, shape, parts = [] }: Pick<TensorSpec, "name" | "shape" | "parts">,
): TakenPart[] {
  const isVector = shape.length === 1;
  const found = parts.map((part) => taken(part, isVector));
  const due = isVector ? { rows: shape[0]!, cols: 1 } : asMatrix(shape);
  const rows = found.reduce((sum, p) => sum + p.taken, 0);
  if (parts.length > 0 && (rows !== due.rows || found.some((p) => p.cols !== due.cols))) {
    const made = found.map((p) => `[${p.taken}, ${p.cols}]`).join(" and ");
    throw new RangeError(`a plan makes ${name} [${shape}] of ${made}`);
  }
  return found;
}

function taken(part: TensorPart, isVector: boolean): TakenPart {
  const { tensor, shape, index, transposed, encoding } = part;
  const inner = index === undefined ? shape : shape.slice(1);
  const is = isVector ? { rows: inner[0]!, cols: 1 } : asMatrix(inner);
  const { rows, cols } = transposed ? { rows: is.cols, cols: is.rows } : is;
  const { first = 0, step = 1 } = part.every ?? {};
  const isRight = inner.length > 0 && (!isVector || inner.length === 1) &&
    (index === undefined || index < shape[0]!) && first < rows && step >= 1 &&
    !(isVector && (transposed || encoding));
  if (!isRight) throw new RangeError(`a plan takes what is not there of ${tensor} [${shape}]`);
  if (encoding && shape.at(-1)! % MXFP4_GROUP !== 0) {
    throw new MoqeError("unsupported", {
      action: `read ${tensor} as MXFP4`,
      rule: `its rows must be whole groups of ${MXFP4_GROUP}`,
      observed: `[${shape}]`,
    });
  }
  return { part, rows, cols, taken: Math.ceil((rows - first) / step) };
}
