/**
 * How far experts of packed models are from those of a checkpoint: of weights, and of outputs on rows of a calibration
 * file that the packs did not see.
 *
 *   deno run -A tests/manual/expert_error.ts CHECKPOINT CALIBRATION MODEL...
 *
 * Experts that are added to bases are meant with these. Prints a line a model: sum of squared errors of all weights over their squares, and of all outputs, each row
 * weighed by its expert's squared share, over theirs.
 */
import { architectureOf } from "../../src/arch/registry.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { Calibration, type ExpertSamples } from "../../src/pack/calibration/file.ts";
import { openModel } from "../../src/store/open.ts";
import { exactExpert, PackedModelExperts, type WholeExpert } from "../support/whole_experts.ts";

const ROWS = 64;
const [checkpointAddress, calibrationFile, ...models] = Deno.args;
if (models.length === 0) throw new Error("usage: expert_error.ts CHECKPOINT CALIBRATION MODEL...");
const checkpoint = await openCheckpoint(checkpointAddress!);
const { plan } = architectureOf(checkpoint.texts.config).read(checkpoint.texts.config);
const calibration = await Calibration.open(calibrationFile!, plan);

/** f32 [rows, n] = x w' + b, with a relu where asked. */
function apply(x: Float32Array, w: Float32Array, b: Float32Array, relu: boolean): Float32Array {
  const n = b.length, k = w.length / n, rows = x.length / k;
  const out = new Float32Array(rows * n);
  for (let o = 0; o < n; o++) {
    for (let r = 0; r < rows; r++) {
      let sum = b[o]!;
      for (let c = 0; c < k; c++) sum += x[r * k + c]! * w[o * k + c]!;
      out[r * n + o] = relu ? Math.max(0, sum) : sum;
    }
  }
  return out;
}

function output({ weights, biases }: WholeExpert, s: ExpertSamples): Float32Array {
  return apply(apply(s.x, weights[0]!, biases[0]!, true), weights[1]!, biases[1]!, false);
}

const opened = await Promise.all(models.map(async (m) => {
  const { store, manifest } = await openModel(m);
  return new PackedModelExperts(store, manifest);
}));
const sums = models.map(() => ({ w: 0, out: 0, bytes: 0 }));
let weightPower = 0, outPower = 0;
for (const [l, layer] of plan.expertLayers.entries()) {
  for (let e = 0; e < layer.count; e++) {
    const exact = await exactExpert(checkpoint.weights, layer, e);
    const samples = calibration.samples(l, e, ROWS), due = output(exact, samples);
    for (const w of exact.weights) for (const v of w) weightPower += v * v;
    const share = (i: number) => samples.weights[Math.floor(i / (due.length / samples.count))]!;
    due.forEach((v, i) => outPower += share(i) * v ** 2);
    for (const [m, packed] of opened.entries()) {
      const got = await packed.read(layer, l, e), sum = sums[m]!;
      sum.bytes += got.bytes;
      got.weights.forEach((w, p) => w.forEach((v, i) => sum.w += (v - exact.weights[p]![i]!) ** 2));
      output(got, samples).forEach((v, i) => sum.out += share(i) * (v - due[i]!) ** 2);
    }
  }
}
models.forEach((m, i) => {
  const { w, out, bytes } = sums[i]!;
  const name = m.replace(/\/+$/, "").split("/").at(-1);
  console.log(
    `${name!.padEnd(24)} weights ${(w / weightPower).toFixed(4)}  outputs ${
      (out / outPower).toFixed(4)
    }  ${(bytes / 2 ** 20).toFixed(1)} MiB`,
  );
});
