/**
 * How far experts of packed models are from those of a checkpoint: of weights, and of outputs on rows of a calibration
 * file that the packs did not see.
 *
 *   deno run -A tests/manual/expert_error.ts CHECKPOINT CALIBRATION MODEL...
 *
 * Prints a line a model: sum of squared errors of all weights over their squares, and of all outputs, each row
 * weighed by its expert's squared share, over theirs.
 */
import { architectureOf } from "../../src/arch/registry.ts";
import { expertLayout } from "../../src/base/layout.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { Calibration, type ExpertSamples } from "../../src/pack/calibration/file.ts";
import { dequantize, viewMatrix } from "../../src/quant/matrix.ts";
import { openModel } from "../../src/store/open.ts";

const ROWS = 64;
const [checkpointAddress, calibrationFile, ...models] = Deno.args;
if (models.length === 0) throw new Error("usage: expert_error.ts CHECKPOINT CALIBRATION MODEL...");
const checkpoint = await openCheckpoint(checkpointAddress!);
const { plan } = architectureOf(checkpoint.texts.config).read(checkpoint.texts.config);
const calibration = await Calibration.open(calibrationFile!, plan);

interface Expert {
  w: Float32Array[];
  b: Float32Array[];
}

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

function output(e: Expert, s: ExpertSamples): Float32Array {
  return apply(apply(s.x, e.w[0]!, e.b[0]!, true), e.w[1]!, e.b[1]!, false);
}

async function exactExpert(l: number, e: number): Promise<Expert> {
  const layer = plan.expertLayers[l]!, expert: Expert = { w: [], b: [] };
  for (const p of layer.projections) {
    const names = layer.tensorNames(e, p.name);
    expert.w.push((await checkpoint.weights.readRows(names.weight, 0, p.rows)).slice());
    expert.b.push(
      p.bias
        ? (await checkpoint.weights.readRows(names.bias, 0, 1)).slice()
        : new Float32Array(p.rows),
    );
  }
  return expert;
}

const opened = await Promise.all(models.map((m) => openModel(m)));
const sums = models.map(() => ({ w: 0, out: 0, bytes: 0 }));
let weightPower = 0, outPower = 0;
for (const [l, layer] of plan.expertLayers.entries()) {
  for (let e = 0; e < layer.count; e++) {
    const exact = await exactExpert(l, e), samples = calibration.samples(l, e, ROWS);
    const due = output(exact, samples);
    for (const w of exact.w) for (const v of w) weightPower += v * v;
    const cols = due.length / samples.count;
    for (let i = 0; i < due.length; i++) {
      outPower += samples.weights[Math.floor(i / cols)]! * due[i]! ** 2;
    }
    for (const [m, { manifest, store }] of opened.entries()) {
      const { format, block } = manifest.expertLayers[l]!.experts[e]!;
      const { name } = manifest.objects[block.object]!;
      const bytes = await store.readRange(name, block);
      const form = manifest.formats[format]!, layout = expertLayout(layer.projections, form);
      const got: Expert = { w: [], b: [] };
      for (const [p, { rows, cols }] of layer.projections.entries()) {
        const at = layout.projections[p]!;
        got.w.push(dequantize(viewMatrix(bytes, rows, cols, form, at)));
        got.b.push(new Float32Array(bytes.buffer, at.biasOffset, rows));
      }
      const sum = sums[m]!;
      sum.bytes += bytes.length;
      got.w.forEach((w, p) => w.forEach((v, i) => sum.w += (v - exact.w[p]![i]!) ** 2));
      output(got, samples).forEach((v, i) =>
        sum.out += samples.weights[Math.floor(i / cols)]! * (v - due[i]!) ** 2
      );
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
