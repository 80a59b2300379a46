/** Quantizers by name: how the scale and the codes of one group of weights are chosen. */
import { MoqeError } from "../base/errors.ts";
import type { Bits, MatrixFormat } from "../base/layout.ts";
import { F16, F32 } from "../base/layout.ts";

/**
 * - `symmetric`: the scale of least squared error for the given codes' levels (the default below 16 bits).
 * - `moqe-linear-trunc`, `moqe-linear-half`: MoQE's linear absmax per channel (arXiv 2310.02410), s = 2 max|A| /
 *   (2^b - 1), read literally, Q = int(A / s), and with half-step levels.
 * - `float`: f16 or f32, no codes.
 */
export const QUANTIZERS = ["symmetric", "moqe-linear-trunc", "moqe-linear-half", "float"] as const;
export type QuantizerName = typeof QUANTIZERS[number];

/** A width as a user asks for it. Left out: the quantizer is `symmetric`, the group 64 (0 for 8 bits). */
export interface Width {
  readonly bits: Bits;
  readonly quantizer?: QuantizerName | undefined;
  readonly group?: 0 | 32 | 64 | 128 | undefined;
}

/** A width with nothing left open: what is done, and the format that kernels see. */
export interface Recipe {
  readonly quantizer: QuantizerName;
  readonly format: MatrixFormat;
}

/** Fills in a width's defaults. Throws MoqeError `bad_input` for a pair that has no meaning. */
export function resolveWidth(width: Width): Recipe {
  const { bits } = width;
  if (bits === 16 || bits === 32) {
    const quantizer = width.quantizer ?? "float";
    if (quantizer !== "float") throw refuse(width, `${bits} bits have no quantizer`);
    return { quantizer, format: bits === 16 ? F16 : F32 };
  }
  if (bits !== 2 && bits !== 4 && bits !== 8) throw refuse(width, "widths are 2, 4, 8, 16 and 32");
  const quantizer = width.quantizer ?? "symmetric";
  if (quantizer === "symmetric") {
    const group = width.group ?? (bits === 8 ? 0 : 64);
    return { quantizer, format: { bits, group, zero: bits === 2 ? 1.5 : 2 ** (bits - 1) } };
  }
  if (width.group !== undefined && width.group !== 0) {
    throw refuse(width, `${quantizer} has one scale an output channel, so no group`);
  }
  if (quantizer === "moqe-linear-trunc") {
    // int(A / s) gives 2^b - 1 levels around 0, so the highest code is never used.
    return { quantizer, format: { bits, group: 0, zero: bits === 2 ? 1 : 2 ** (bits - 1) } };
  }
  if (quantizer === "moqe-linear-half") {
    return { quantizer, format: { bits, group: 0, zero: (2 ** bits - 1) / 2 } };
  }
  throw refuse(width, `no quantizer of this name writes ${bits} bits`);
}

/** A recipe in a few words, for manifests and tables: "2-bit symmetric group 64". */
export function describeRecipe({ quantizer, format }: Recipe): string {
  if (format.bits === 16) return "f16";
  if (format.bits === 32) return "f32";
  return `${format.bits}-bit ${quantizer} ${
    format.group === 0 ? "per channel" : `group ${format.group}`
  }`;
}

function refuse(width: Width, rule: string): MoqeError {
  return new MoqeError("bad_input", {
    action: "choose a width",
    rule,
    observed: JSON.stringify(width),
    remedy: `quantizers are ${QUANTIZERS.join(", ")}; groups are 0 (a channel), 32, 64 and 128`,
  });
}
