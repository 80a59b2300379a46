/** What packing does to the outputs of a checkpoint's experts. */
import type { ModelPlan } from "../../src/base/plan.ts";
import type { TensorSource } from "../../src/checkpoint/contract.ts";
import { linearTwin } from "../../tools/twin/linear.ts";
import type { FileStore } from "../../src/store/file_store.ts";
import type { Manifest } from "../../src/store/manifest.ts";
import { randomWeights } from "../quant/random.ts";
import { inputRow } from "./calibration.ts";
import { exactExpert, PackedModelExperts } from "./whole_experts.ts";

/** Rows that each expert is given. */
const ROWS = 8;

/** Squared error of all experts' outputs on fresh rows, against the checkpoint's; bases are added on both sides. */
export async function outputError(
  weights: TensorSource,
  plan: ModelPlan,
  store: FileStore,
  manifest: Manifest,
): Promise<number> {
  const packed = new PackedModelExperts(store, manifest);
  let error = 0;
  for (const [l, layer] of plan.expertLayers.entries()) {
    const { cols } = layer.projections[0]!, common = randomWeights(cols, "laplace", l);
    for (let e = 0; e < layer.count; e++) {
      const due = await exactExpert(weights, layer, e), got = await packed.read(layer, l, e);
      for (let r = 0; r < ROWS; r++) {
        const x = inputRow(cols, 77_000 + 100 * e + r, common);
        let [a, b]: ArrayLike<number>[] = [x, x];
        for (const [p, { rows: n, cols: k }] of layer.projections.entries()) {
          const shape = { rows: 1, n, k, relu: p === 0 };
          a = linearTwin({ ...shape, x: a!, w: due.weights[p]!, bias: due.biases[p]! });
          b = linearTwin({ ...shape, x: b!, w: got.weights[p]!, bias: got.biases[p]! });
        }
        for (let i = 0; i < a!.length; i++) error += (a![i]! - b![i]!) ** 2;
      }
    }
  }
  return error;
}
