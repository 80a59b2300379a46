/** A checkpoint of which one part has been quantized and decoded again: what that part's width costs alone. */
import type { Checkpoint, TensorSource } from "../../src/checkpoint/contract.ts";
import { asMatrix } from "../../src/checkpoint/contract.ts";
import { dequantize, quantizeMatrix } from "../../src/quant/matrix.ts";
import { resolveWidth } from "../../src/quant/quantizers.ts";
import type { Bits } from "../../src/base/layout.ts";

/** Sums over the quantized weights. */
export interface PartError {
  weights: number;
  squaredError: number;
  squares: number;
}

/** `checkpoint` with the matrices that `pattern` names as their codes would decode; `error` is added to. */
export function quantizedPart(
  checkpoint: Checkpoint,
  pattern: RegExp,
  options: { bits: Bits; quantizer?: "symmetric" | "moqe-linear-half"; error: PartError },
): Checkpoint {
  const { weights } = checkpoint;
  const recipe = resolveWidth({ bits: options.bits, quantizer: options.quantizer });
  const readRows: TensorSource["readRows"] = async (name, rowStart, rowCount, more) => {
    const rows = await weights.readRows(name, rowStart, rowCount, more);
    if (!pattern.test(name)) return rows;
    const { cols } = asMatrix(weights.tensors.get(name)!.shape);
    const exact = rows.subarray(0, rowCount * cols);
    const decoded = dequantize(quantizeMatrix(exact, rowCount, cols, recipe, name));
    const { error } = options;
    for (let i = 0; i < exact.length; i++) {
      error.squaredError += (decoded[i]! - exact[i]!) ** 2;
      error.squares += exact[i]! ** 2;
    }
    error.weights += exact.length;
    rows.set(decoded);
    return rows;
  };
  return {
    texts: checkpoint.texts,
    weights: {
      origin: weights.origin,
      identity: `${weights.identity} with ${pattern} at ${options.bits} bits`,
      tensors: weights.tensors,
      readRows,
      close: () => weights.close(),
    },
  };
}
