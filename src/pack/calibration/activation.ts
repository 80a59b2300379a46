/** What lies between an expert's two matrices, as the packer computes it to weigh errors. */
import { MoqeError } from "../../base/errors.ts";
import type { ExpertActivation, ExpertLayerSpec } from "../../base/plan.ts";

/** Limit and slope of the clamped gate. */
const LIMIT = 7, SLOPE = 1.702;

const GATES: Record<Exclude<ExpertActivation, "relu">, (gate: number, up: number) => number> = {
  "gated silu": (gate, up) => gate / (1 + Math.exp(-gate)) * up,
  "clamped gated silu": (gate, up) => {
    const g = Math.min(gate, LIMIT), u = Math.max(-LIMIT, Math.min(up, LIMIT));
    return g / (1 + Math.exp(-SLOPE * g)) * (u + 1);
  },
};

/**
 * An expert's activation. Throws MoqeError `unsupported` where its matrices are not two, or are not as wide as that
 * activation makes them.
 */
export function activationOf(layer: ExpertLayerSpec): ExpertActivation {
  const { activation = "relu", projections } = layer, [one, two] = projections;
  const halves = activation === "relu" ? 1 : 2;
  if (projections.length === 2 && one!.rows === halves * two!.cols) return activation;
  throw new MoqeError("unsupported", {
    action: `use inputs of ${layer.stack} layer ${layer.layer}'s experts`,
    rule: `an expert must be two matrices with a ${activation} between them`,
    observed: projections.map((p) => `${p.name} [${p.rows}, ${p.cols}]`).join(", "),
    remedy: "pack without --calibration",
  });
}

/** Of x f32 [count, rows], which is overwritten: what the second matrix reads, [count, rows] or of a gate [count, rows / 2]. */
export function activate(
  activation: ExpertActivation,
  x: Float32Array<ArrayBuffer>,
  rows: number,
): Float32Array<ArrayBuffer> {
  if (activation === "relu") {
    for (let i = 0; i < x.length; i++) x[i] = Math.max(0, x[i]!);
    return x;
  }
  const gated = GATES[activation], width = rows / 2;
  // A row's result lies at or before what it is made of, and behind what is still to be read of it.
  for (let from = 0, to = 0; from < x.length; from += rows) {
    for (let i = 0; i < width; i++) x[to++] = gated(x[from + i]!, x[from + width + i]!);
  }
  return x.subarray(0, x.length / 2);
}
