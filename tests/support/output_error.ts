/** What packing does to the outputs of a checkpoint's experts. */
import { expertLayout } from "../../src/base/layout.ts";
import { baseOf, type ModelPlan } from "../../src/base/plan.ts";
import type { TensorSource } from "../../src/checkpoint/contract.ts";
import { linearTwin } from "../../src/backend/cpu/twin/linear.ts";
import { dequantize, viewMatrix } from "../../src/quant/matrix.ts";
import type { FileStore } from "../../src/store/file_store.ts";
import type { Manifest } from "../../src/store/manifest.ts";
import { randomWeights } from "../quant/random.ts";
import { inputRow } from "./calibration.ts";
import { readTrunk } from "./trunk.ts";

/** Squared error of all experts' outputs on fresh rows, against the checkpoint's; bases are added on both sides. */
export async function outputError(
  weights: TensorSource,
  plan: ModelPlan,
  store: FileStore,
  manifest: Manifest,
): Promise<number> {
  let error = 0;
  for (const [l, layer] of plan.expertLayers.entries()) {
    const { cols } = layer.projections[0]!, common = randomWeights(cols, "laplace", l);
    for (let e = 0; e < layer.count; e++) {
      const { format, block } = manifest.expertLayers[l]!.experts[e]!;
      const form = manifest.formats[format]!;
      const bytes = await store.readRange(manifest.objects[block.object]!.name, block);
      const layout = expertLayout(layer.projections, form);
      const matrices = await Promise.all(
        layer.projections.map(async ({ name, rows, cols, bias }, p) => {
          const names = layer.tensorNames(e, name), at = layout.projections[p]!;
          const b = bias ? await weights.readRows(names.bias, 0, 1) : new Float32Array(rows);
          const own = bias ? new Float32Array(bytes.buffer, at.biasOffset, rows) : b;
          const base = layer.bases?.tensorName(baseOf(layer, e)!, name);
          const whole = (w: Float32Array, more?: Float32Array) =>
            more === undefined ? w : w.map((v, i) => v + more[i]!);
          const exact = whole(
            await weights.readRows(names.weight, 0, rows),
            base === undefined ? undefined : await weights.readRows(base, 0, rows),
          );
          const got = whole(
            dequantize(viewMatrix(bytes, rows, cols, form, at)),
            base === undefined ? undefined : await readTrunk(store, manifest, base),
          );
          return { rows, cols, exact, got, b, own };
        }),
      );
      for (let r = 0; r < 8; r++) {
        let exact: ArrayLike<number> = inputRow(cols, 77_000 + 100 * e + r, common), got = exact;
        for (const [p, m] of matrices.entries()) {
          const shape = { rows: 1, n: m.rows, k: m.cols, relu: p === 0 };
          exact = linearTwin({ ...shape, x: exact, w: m.exact, bias: m.b });
          got = linearTwin({ ...shape, x: got, w: m.got, bias: m.own });
        }
        for (let i = 0; i < exact.length; i++) error += (exact[i]! - got[i]!) ** 2;
      }
    }
  }
  return error;
}
