/** What an expert's two matrices are fed in calibration: samples, second moments, hidden layers, mean errors. */
import type { ExpertActivation } from "../../base/plan.ts";
import { rotate } from "../../base/rotation.ts";
import { Compensation } from "../../quant/compensation.ts";
import { Hessian, hessianBlock, Moments } from "../../quant/moments.ts";
import { activate } from "./activation.ts";
import type { Calibration, ExpertSamples } from "./file.ts";

/**
 * An expert's own samples with some of the layer's, twice as many as the widest block of moments has columns, B, and of
 * the weight of B: B / (n + B) for n own samples. So an expert that saw few tokens is shrunk toward its layer.
 */
export function samplesOf(
  calibration: Calibration,
  layer: number,
  expert: number,
  hidden: number,
): ExpertSamples {
  const own = calibration.samples(layer, expert);
  const { cols, seen } = calibration.header.layers[layer]!;
  const others = seen.flatMap((n, e) => n > 0 && e !== expert ? [e] : []);
  const block = Math.max(hessianBlock(cols), hessianBlock(hidden));
  const each = Math.ceil(2 * block / Math.max(1, others.length));
  const foreign = others.map((e) => calibration.samples(layer, e, each));
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
  return new Hessian(momentsOf(samples, cols, options.rotated), options.centred);
}

function momentsOf({ x, count, weights }: ExpertSamples, cols: number, rotated: boolean): Moments {
  const moments = new Moments(cols);
  if (rotated && moments.block < cols) {
    const turned = x.slice();
    for (let r = 0; r < count; r++) rotate(turned, r * cols, cols);
    moments.add(turned, count, weights);
    return moments;
  }
  moments.add(x, count, weights);
  return rotated ? moments.rotated() : moments;
}

/** What fc1 makes of samples, filled as its rows come. Owns two f32 [count, rows], which the hidden layers take over. */
export class FirstProducts {
  readonly #exact: Float32Array<ArrayBuffer>;
  readonly #rounded: Float32Array<ArrayBuffer>;

  constructor(readonly samples: ExpertSamples, readonly cols: number, readonly rows: number) {
    this.#exact = new Float32Array(samples.count * rows);
    this.#rounded = new Float32Array(samples.count * rows);
  }

  /**
   * Unit `unit` by its row of fc1 as it was and as it is decoded. Answers the bias that makes the mean of what goes
   * into the activation what it was.
   */
  add(unit: number, exact: Float32Array, rounded: Float32Array, bias: number | undefined): number {
    const { x, count, weights } = this.samples, { cols, rows } = this;
    let mean = 0, total = 0;
    for (let r = 0; r < count; r += 2) {
      // Two at once: one sum after another would wait for each addition. The last of an odd number is done twice.
      const first = r * cols, second = Math.min(r + 1, count - 1) * cols;
      let a = 0, b = 0, c = 0, d = 0;
      for (let i = 0; i < cols; i++) {
        const v = x[first + i]!, w = x[second + i]!, e = exact[i]!, q = rounded[i]!;
        a += v * e;
        b += v * q;
        c += w * e;
        d += w * q;
      }
      this.#exact[r * rows + unit] = a;
      this.#rounded[r * rows + unit] = b;
      mean += weights[r]! * (a - b);
      total += weights[r]!;
      if (r + 1 === count) break;
      this.#exact[(r + 1) * rows + unit] = c;
      this.#rounded[(r + 1) * rows + unit] = d;
      mean += weights[r + 1]! * (c - d);
      total += weights[r + 1]!;
    }
    const corrected = bias === undefined || total === 0 ? 0 : Math.fround(bias + mean / total);
    for (let r = 0, at = unit; r < count; r++, at += rows) {
      this.#exact[at]! += bias ?? 0;
      this.#rounded[at]! += bias === undefined ? 0 : corrected;
    }
    return corrected;
  }

  /** The hidden layers, once every row was added; what they are made of is overwritten. */
  activated(activation: ExpertActivation): HiddenLayers {
    return new HiddenLayers(
      this.samples,
      activation === "relu" ? this.rows : this.rows / 2,
      activate(activation, this.#exact, this.rows),
      activate(activation, this.#rounded, this.rows),
    );
  }
}

/** Hidden layers of samples f32 [count, hidden]: as the checkpoint's fc1 makes them, and as the rounded one does. */
export class HiddenLayers {
  constructor(
    readonly samples: ExpertSamples,
    readonly hidden: number,
    readonly exact: Float32Array<ArrayBuffer>,
    readonly rounded: Float32Array<ArrayBuffer>,
  ) {}

  /**
   * By what fc2's errors are weighed, its input once fc1 is rounded, and with error feedback what fc2 can make up for of
   * that rounding: undefined where the layer is too wide for it.
   */
  seenByFc2(
    { rotated, centred, feedback }: { rotated: boolean; centred: boolean; feedback: boolean },
  ): { hessian: Hessian; compensation?: Compensation } {
    const { samples, hidden } = this, { weights } = samples;
    const input = { ...samples, x: this.rounded };
    if (!feedback || hessianBlock(hidden) < hidden) {
      return { hessian: hessianOf(input, hidden, { rotated, centred }) };
    }
    const moments = momentsOf(input, hidden, false), plain = new Hessian(moments, centred);
    const change = { was: this.exact, is: this.rounded, weights };
    return {
      hessian: rotated ? new Hessian(moments.rotated(), centred) : plain,
      compensation: new Compensation(plain, change, centred),
    };
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
    return { exact: mean(this.exact), rounded: mean(this.rounded) };
  }
}
