/** What an expert's two matrices are fed in calibration: samples, second moments, hidden layers, mean errors. */
import { rotate } from "../../base/rotation.ts";
import { Hessian, hessianBlock, Moments } from "../../quant/moments.ts";
import type { Calibration, ExpertSamples } from "./file.ts";

/** Rows of the layer's other experts that stand for the layer. */
const FOREIGN_ROWS = 256;

/**
 * An expert's own samples with some of the layer's, whose whole weight is B / (n + B) for n own samples and blocks of B
 * columns: as much as B samples would have. So an expert that saw few tokens is shrunk toward its layer.
 */
export function samplesOf(calibration: Calibration, layer: number, expert: number): ExpertSamples {
  const own = calibration.samples(layer, expert);
  const { cols, seen } = calibration.header.layers[layer]!;
  const others = seen.flatMap((n, e) => n > 0 && e !== expert ? [e] : []);
  const each = Math.ceil(FOREIGN_ROWS / Math.max(1, others.length));
  const foreign = others.map((e) => calibration.samples(layer, e, each));
  const block = hessianBlock(cols);
  const sum = (parts: readonly ExpertSamples[]) =>
    parts.reduce((total, p) => total + p.weights.reduce((a, b) => a + b, 0), 0);
  const [ownWeight, foreignWeight] = [sum([own]), sum(foreign)];
  const share = block / (own.count + block);
  const count = foreign.reduce((n, f) => n + f.count, own.count);
  const x = new Float32Array(count * cols), weights = new Float64Array(count);
  let at = 0;
  for (const part of [own, ...foreign]) {
    const scale = part === own ? (1 - share) / (ownWeight || 1) : share / (foreignWeight || 1);
    x.set(part.x, at * cols);
    for (let i = 0; i < part.count; i++) weights[at + i] = part.weights[i]! * scale;
    at += part.count;
  }
  return { count, x, weights };
}

/** Second moments of x f32 [count, cols], in the rotated basis if asked. x is left as it is. */
export function hessianOf(
  samples: ExpertSamples,
  cols: number,
  options: { rotated: boolean; centred: boolean },
): Hessian {
  const { count, weights } = samples;
  const x = options.rotated ? samples.x.slice() : samples.x;
  if (options.rotated) { for (let r = 0; r < count; r++) rotate(x, r * cols, cols); }
  const moments = new Moments(cols);
  moments.add(x, count, weights);
  return new Hessian(moments, options.centred);
}

/** Hidden layers of samples, filled as rows of fc1 come. Owns two f32 [count, hidden]. */
export class HiddenLayers {
  readonly #exact: Float32Array<ArrayBuffer>;
  readonly #rounded: Float32Array<ArrayBuffer>;

  constructor(readonly samples: ExpertSamples, readonly cols: number, readonly hidden: number) {
    this.#exact = new Float32Array(samples.count * hidden);
    this.#rounded = new Float32Array(samples.count * hidden);
  }

  /**
   * Unit `unit` by its row of fc1 as it was and as it is decoded. Answers the bias that makes the mean of what goes
   * into the activation what it was.
   */
  add(unit: number, exact: Float32Array, rounded: Float32Array, bias: number | undefined): number {
    const { x, count, weights } = this.samples, { cols, hidden } = this;
    let mean = 0, total = 0;
    for (let r = 0; r < count; r++) {
      const at = r * cols;
      let a = 0, b = 0;
      for (let c = 0; c < cols; c++) {
        const v = x[at + c]!;
        a += v * exact[c]!;
        b += v * rounded[c]!;
      }
      this.#exact[r * hidden + unit] = a;
      this.#rounded[r * hidden + unit] = b;
      mean += weights[r]! * (a - b);
      total += weights[r]!;
    }
    const corrected = bias === undefined || total === 0 ? 0 : Math.fround(bias + mean / total);
    for (let r = 0, at = unit; r < count; r++, at += hidden) {
      this.#exact[at] = Math.max(0, this.#exact[at]! + (bias ?? 0));
      this.#rounded[at] = Math.max(0, this.#rounded[at]! + (bias === undefined ? 0 : corrected));
    }
    return corrected;
  }

  /** The hidden layer of unrounded weights, as samples of fc2's input. */
  get exact(): ExpertSamples {
    return { ...this.samples, x: this.#exact };
  }

  /** float64 [hidden]: the mean hidden layer before and after rounding of fc1. */
  means(): { exact: Float64Array; rounded: Float64Array } {
    const { count, weights } = this.samples, { hidden } = this;
    const mean = (x: Float32Array) => {
      const out = new Float64Array(hidden);
      let total = 0;
      for (let r = 0; r < count; r++) {
        total += weights[r]!;
        for (let c = 0; c < hidden; c++) out[c]! += weights[r]! * x[r * hidden + c]!;
      }
      return out.map((v) => total === 0 ? 0 : v / total);
    };
    return { exact: mean(this.#exact), rounded: mean(this.#rounded) };
  }
}
