/** Calibrations of made-up inputs. */
import type { ModelPlan } from "../../src/base/plan.ts";
import { CalibrationWriter } from "../../src/pack/calibration/file.ts";
import { randomWeights } from "../quant/random.ts";

const SAMPLES = 48;

/** A row of a layer's input: columns share much, as behind a norm with large gains. */
export function inputRow(cols: number, seed: number, common: Float32Array): Float32Array {
  const row = randomWeights(cols, "gauss", seed), by = randomWeights(1, "gauss", seed + 7)[0]!;
  return row.map((v, c) => v * 0.3 + by * common[c]! + 0.4);
}

/** A file with 60 rows of every expert but the last of each layer, which saw three. */
export function writeCalibration(path: string, plan: ModelPlan): void {
  const writer = new CalibrationWriter(path, plan, SAMPLES);
  plan.expertLayers.forEach((layer, l) => {
    const { cols } = layer.projections[0]!, common = randomWeights(cols, "laplace", l);
    for (let e = 0; e < layer.count; e++) {
      const rows = e === layer.count - 1 ? 3 : 60;
      for (let r = 0; r < rows; r++) {
        writer.add(l, e, inputRow(cols, 1000 * l + 100 * e + r, common), 0.5 + r / 100);
      }
    }
  });
  writer.finish();
}
