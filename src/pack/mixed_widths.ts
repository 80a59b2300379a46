/** Which experts get 3 and 4 bits in place of 2, within a stated size: those whose outputs gain most for a byte. */
import { MoqeError } from "../base/errors.ts";
import { expertLayout } from "../base/layout.ts";
import type { ExpertLayerSpec, ModelPlan } from "../base/plan.ts";
import { formatBytes } from "../base/units.ts";
import { dequantize, quantizeMatrix } from "../quant/matrix.ts";
import type { Recipe } from "../quant/quantizers.ts";
import type { ExpertTensors } from "./bases.ts";
import { activate, activationOf } from "./calibration/activation.ts";
import type { Calibration } from "./calibration/file.ts";

/** Inputs by which an expert's sensitivity is measured. */
const ROWS = 32;

/**
 * Recipes of a layer's experts from the narrowest to the widest, none for a layer that has its own; the most bytes of all
 * experts' blocks, and what those of such layers take of them.
 */
export interface MixedAsk {
  readonly ladders: readonly (readonly Recipe[])[];
  readonly calibration: Calibration;
  readonly totalBytes: number;
  readonly takenBytes: number;
  readonly signal?: AbortSignal | undefined;
}

/** One expert: bytes and harm of each rung of its ladder, and the rung it has. */
interface Rungs {
  readonly bytes: number[];
  readonly harm: number[];
  at: number;
}

/**
 * Each expert's recipe, by layer, none in a layer without a ladder. The harm of a recipe is the squared error
 * of the expert's outputs, each row weighed by the expert's squared share in it, times the rows that it saw: sensitivity
 * times use. All start narrow; then the step that takes away most harm a byte is taken as long as there is room. Memory:
 * one expert, whole, in f32, and of a trellis a matrix of it in float64.
 *
 * @throws MoqeError `bad_input` where the narrowest of all does not fit
 */
export async function mixedWidths(
  source: ExpertTensors,
  plan: ModelPlan,
  ask: MixedAsk,
): Promise<Recipe[][]> {
  const rungs: Rungs[][] = [];
  for (const [l, layer] of plan.expertLayers.entries()) {
    const ladder = ask.ladders[l]!, here: Rungs[] = [];
    const bytes = ladder.map((r) => expertLayout(layer.projections, r.format).bytes);
    for (let e = 0; e < layer.count && ladder.length > 0; e++) {
      here.push({ bytes, harm: await harmOf(source, layer, l, e, ladder, ask), at: 0 });
    }
    rungs.push(here);
  }
  climb(rungs.flat(), ask.totalBytes, ask.takenBytes);
  return rungs.map((here, l) => here.map((r) => ask.ladders[l]![r.at]!));
}

/** Takes steps up, the best one first; equal ones in order. `takenBytes`: of the total, what is no longer to be had. */
export function climb(all: Rungs[], totalBytes: number, takenBytes = 0): void {
  let left = totalBytes - takenBytes - all.reduce((sum, r) => sum + r.bytes[0]!, 0);
  if (left < 0) {
    throw new MoqeError("bad_input", {
      action: `fit the experts into ${formatBytes(totalBytes)}`,
      rule: `the narrowest take ${formatBytes(totalBytes - left)}`,
      remedy: "raise --expert-bytes",
    });
  }
  for (;;) {
    let best: { of: Rungs; to: number } | undefined, bestGain = 0;
    for (const r of all) {
      for (let to = r.at + 1; to < r.bytes.length; to++) {
        const more = r.bytes[to]! - r.bytes[r.at]!;
        const gain = (r.harm[r.at]! - r.harm[to]!) / more;
        if (more > left || gain <= bestGain) continue;
        best = { of: r, to };
        bestGain = gain;
      }
    }
    if (best === undefined) return;
    left -= best.of.bytes[best.to]! - best.of.bytes[best.of.at]!;
    best.of.at = best.to;
  }
}

/** One of an expert's matrices f32 [rows, cols], what it is added to, and its bias. */
interface Matrix {
  readonly w: Float32Array;
  readonly base: Float32Array | undefined;
  readonly rows: number;
  readonly cols: number;
  readonly bias: Float32Array;
}

async function harmOf(
  source: ExpertTensors,
  layer: ExpertLayerSpec,
  ordinal: number,
  expert: number,
  ladder: readonly Recipe[],
  { calibration, signal }: MixedAsk,
): Promise<number[]> {
  const { x, weights, count } = calibration.samples(ordinal, expert, ROWS);
  const seen = calibration.header.layers[ordinal]!.seen[expert]!;
  if (count === 0) return ladder.map(() => 0);
  const matrices: Matrix[] = [];
  for (const { name, rows, cols, bias } of layer.projections) {
    const names = layer.tensorNames(expert, name);
    const w = await source.readRows(names.weight, 0, rows, { signal });
    const b = bias ? await source.readRows(names.bias, 0, 1, { signal }) : new Float32Array(rows);
    matrices.push({ w, base: await source.base(layer, expert, name), rows, cols, bias: b });
  }
  const activation = activationOf(layer), [one, two] = matrices as [Matrix, Matrix];
  const output = (of: (m: Matrix) => Float32Array) => {
    const hidden = activate(activation, product(x, plus(of(one), one.base), one.bias), one.rows);
    return product(hidden, plus(of(two), two.base), two.bias);
  };
  const exact = output((m) => m.w), width = exact.length / count;
  return ladder.map((recipe) => {
    const plain: Recipe = { ...recipe, rounding: "nearest" };
    const got = output((m) => dequantize(quantizeMatrix(m.w, m.rows, m.cols, plain)));
    let sum = 0;
    for (let i = 0; i < got.length; i++) {
      sum += weights[Math.floor(i / width)]! * (got[i]! - exact[i]!) ** 2;
    }
    return sum * seen / count;
  });
}

/** The sum of an expert's matrix and its base, if it has one. */
function plus(w: Float32Array, base: Float32Array | undefined): Float32Array {
  return base === undefined ? w : w.map((v, i) => v + base[i]!);
}

/** f32 [rows, n] = x w' + bias. */
function product(
  x: Float32Array,
  w: Float32Array,
  bias: Float32Array,
): Float32Array<ArrayBuffer> {
  const n = bias.length, k = w.length / n, rows = x.length / k;
  const out = new Float32Array(rows * n);
  for (let o = 0; o < n; o++) {
    const row = w.subarray(o * k, (o + 1) * k);
    for (let r = 0; r < rows; r++) {
      let sum = bias[o]!;
      for (let c = 0, at = r * k; c < k; c++) sum += x[at + c]! * row[c]!;
      out[r * n + o] = sum;
    }
  }
  return out;
}
