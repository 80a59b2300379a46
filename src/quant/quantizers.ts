/** Quantizers by name: how the scale and the codes of one group of weights are chosen. */
import { MoqeError } from "../base/errors.ts";
import type { Bits, CodeBits, MatrixFormat } from "../base/layout.ts";
import { F16, F32 } from "../base/layout.ts";
import { type BookBits, gaussianLevels, logLevels } from "./codebook.ts";
import { MXFP4_GROUP, MXFP4_LEVELS } from "./mxfp4.ts";

/**
 * - `symmetric`: the scale of least squared error for evenly spaced levels (the default below 16 bits).
 * - `lloyd`: a codebook of least error (Lloyd-Max), fitted to each layer's experts; a Gaussian's elsewhere and where
 *   the weights are rotated.
 * - `trellis`: 2 bits that pick one of 16 levels together with the codes above (src/base/trellis.ts), of least error.
 * - `mxfp4`: weights that MXFP4 can say, as they are; others are refused.
 * - `moqe-linear-trunc`, `moqe-linear-half`: MoQE's linear absmax per channel (arXiv 2310.02410), s = 2 max|A| /
 *   (2^b - 1), read literally, Q = int(A / s), and with half-step levels.
 * - `moqe-log`: MoQE's powers of two per channel, Q = round(log2(|A| / s)), s of least squared error.
 * - `float`: f16 or f32, no codes.
 */
export const QUANTIZERS = [
  "symmetric",
  "lloyd",
  "trellis",
  "mxfp4",
  "moqe-linear-trunc",
  "moqe-linear-half",
  "moqe-log",
  "float",
] as const;
export type QuantizerName = typeof QUANTIZERS[number];

/** `nearest` level, or `gptq`: error feedback through the input's second moments (src/quant/feedback.ts). */
export const ROUNDINGS = ["nearest", "gptq"] as const;
export type Rounding = typeof ROUNDINGS[number];

/** A width as a user asks for it. Left out: `symmetric`, the group 64 (0 for 8 bits), `nearest`, not rotated. */
export interface Width {
  readonly bits: Bits;
  readonly quantizer?: QuantizerName | undefined;
  readonly group?: MatrixFormat["group"] | undefined;
  /** Needs calibration. */
  readonly rounding?: Rounding | undefined;
  /** In the basis of src/base/rotation.ts. */
  readonly rotate?: boolean | undefined;
}

/** A width with nothing left open: what is done, and the format that kernels see. */
export interface Recipe {
  readonly quantizer: QuantizerName;
  readonly rounding: Rounding;
  readonly format: MatrixFormat;
}

/** Fills in a width's defaults. Throws MoqeError `bad_input` for a pair that has no meaning. */
export function resolveWidth(width: Width): Recipe {
  const { bits, rounding = "nearest" } = width;
  if (bits === 16 || bits === 32) {
    const quantizer = width.quantizer ?? "float";
    if (quantizer !== "float" || rounding !== "nearest" || width.rotate) {
      throw refuse(width, `${bits} bits have no quantizer and no rotation`);
    }
    return { quantizer, rounding, format: bits === 16 ? F16 : F32 };
  }
  if (![2, 3, 4, 8].includes(bits)) throw refuse(width, "widths are 2, 3, 4, 8, 16 and 32");
  const quantizer = width.quantizer ?? "symmetric";
  const rotated = width.rotate ? { rotated: true as const } : {};
  if (quantizer === "symmetric") {
    const group = width.group ?? (bits === 8 ? 0 : 64);
    const zero = bits < 4 ? (2 ** bits - 1) / 2 : 2 ** (bits - 1);
    return { quantizer, rounding, format: { bits, group, zero, ...rotated } };
  }
  if (quantizer === "lloyd" && bits !== 8) {
    const levels = gaussianLevels(bits);
    const group = width.group ?? 64;
    return { quantizer, rounding, format: { bits, group, zero: 0, levels, ...rotated } };
  }
  if (quantizer === "trellis") {
    if (bits !== 2) throw refuse(width, "a trellis is of 2 bits");
    const group = width.group ?? 64;
    return { quantizer, rounding, format: { bits, group, zero: 0, trellis: true, ...rotated } };
  }
  if (quantizer === "mxfp4") {
    if (bits !== 4 || (width.group ?? MXFP4_GROUP) !== MXFP4_GROUP) {
      throw refuse(width, `MXFP4 is of 4 bits and groups of ${MXFP4_GROUP}`);
    }
    if (rounding !== "nearest" || width.rotate) {
      throw refuse(width, "MXFP4 is kept as it is: it is neither rotated nor given feedback");
    }
    const levels = MXFP4_LEVELS;
    return { quantizer, rounding, format: { bits, group: MXFP4_GROUP, zero: 0, levels } };
  }
  return { quantizer, rounding, format: baseline(width, quantizer, bits) };
}

/** The same at other bits; a trellis has 2 alone and MXFP4 4, so what is of others gets the codebook of least error. */
export function atBits(width: Omit<Width, "bits">, bits: Bits): Width {
  const { quantizer } = width;
  const hasOthers = quantizer === "trellis" && bits !== 2 || quantizer === "mxfp4" && bits !== 4;
  return {
    ...width,
    bits,
    ...(hasOthers ? { quantizer: bits === 8 ? "symmetric" : "lloyd" } : {}),
  };
}

/** MoQE's own, as published. */
function baseline(width: Width, quantizer: QuantizerName, bits: CodeBits): MatrixFormat {
  if (width.rounding === "gptq" || width.rotate) {
    throw refuse(width, `${quantizer} is a baseline: it is neither rotated nor given feedback`);
  }
  if (quantizer !== "lloyd" && quantizer !== "float" && (width.group ?? 0) !== 0) {
    throw refuse(width, `${quantizer} has one scale an output channel, so no group`);
  }
  const half = 2 ** (bits - 1);
  switch (quantizer) {
    case "moqe-linear-trunc":
      // int(A / s) gives 2^b - 1 levels around 0, so the highest code is never used.
      return { bits, group: 0, zero: half - (bits === 2 ? 1 : 0) };
    case "moqe-linear-half":
      return { bits, group: 0, zero: half - 0.5 };
    case "moqe-log":
      if (bits !== 8) return { bits, group: 0, zero: 0, levels: logLevels(bits as BookBits) };
  }
  throw refuse(width, `no quantizer of this name writes ${bits} bits`);
}

/** Whether calibration has a say in it: MoQE's baselines, MXFP4 and plain floats stay as they are. */
export function isCalibrated({ quantizer }: Recipe): boolean {
  return quantizer === "symmetric" || quantizer === "lloyd" || quantizer === "trellis";
}

/** A recipe in a few words, for manifests and tables: "2-bit symmetric group 64". */
export function describeRecipe({ quantizer, rounding, format }: Recipe): string {
  if (format.bits === 16) return "f16";
  if (format.bits === 32) return "f32";
  const group = format.group === 0 ? "per channel" : `group ${format.group}`;
  return `${format.bits}-bit ${quantizer} ${group}` + (rounding === "gptq" ? " gptq" : "") +
    (format.rotated ? " rotated" : "");
}

function refuse(width: Width, rule: string): MoqeError {
  return new MoqeError("bad_input", {
    action: "choose a width",
    rule,
    observed: JSON.stringify(width),
    remedy: `quantizers are ${QUANTIZERS.join(", ")}; groups are 0 (a channel), 32, 64 and 128`,
  });
}
