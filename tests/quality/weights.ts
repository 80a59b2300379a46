/** How far the weights of a packed model are from those of the checkpoint that it was packed from. */
import { architectureOf } from "../../src/arch/registry.ts";
import type { ModelPlan } from "../../src/base/plan.ts";
import type { Checkpoint } from "../../src/checkpoint/contract.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import type { ObjectStore } from "../../src/store/contract.ts";
import type { Manifest } from "../../src/store/manifest.ts";
import { openModel } from "../../src/store/open.ts";
import { readTrunk } from "../support/trunk.ts";
import { exactExpert, PackedModelExperts } from "../support/whole_experts.ts";

/**
 * Squared error over squares, of the experts (with the bases that they are added to) where they have less than 16 bits,
 * else of the trunk's matrices that do.
 */
export async function weightError(packed: string, folder: string): Promise<number | undefined> {
  const { manifest, store } = await openModel(packed);
  const checkpoint = await openCheckpoint(folder);
  try {
    const { plan } = architectureOf(checkpoint.texts.config).read(checkpoint.texts.config);
    const model = { manifest, store, plan, checkpoint };
    const sums = new Sums();
    await addExperts(model, sums);
    if (sums.squares === 0) await addTrunk(model, sums);
    return sums.squares === 0 ? undefined : sums.error / sums.squares;
  } finally {
    checkpoint.weights.close();
  }
}

interface Model {
  manifest: Manifest;
  store: ObjectStore;
  plan: ModelPlan;
  checkpoint: Checkpoint;
}

class Sums {
  error = 0;
  squares = 0;

  add(decoded: Float32Array, exact: Float32Array): void {
    for (let i = 0; i < decoded.length; i++) {
      this.error += (decoded[i]! - exact[i]!) ** 2;
      this.squares += exact[i]! ** 2;
    }
  }
}

async function addExperts({ manifest, store, plan, checkpoint }: Model, sums: Sums): Promise<void> {
  const packed = new PackedModelExperts(store, manifest);
  for (const [l, layer] of plan.expertLayers.entries()) {
    for (let e = 0; e < layer.count; e++) {
      const { weights, bits } = await packed.read(layer, l, e);
      if (bits >= 16) continue;
      const exact = await exactExpert(checkpoint.weights, layer, e);
      weights.forEach((w, p) => sums.add(w, exact.weights[p]!));
    }
  }
}

async function addTrunk({ manifest, store, checkpoint }: Model, sums: Sums): Promise<void> {
  for (const { name, shape, format } of manifest.trunk) {
    if (manifest.formats[format]!.bits >= 16 || shape.length !== 2) continue;
    const exact = await checkpoint.weights.readRows(name, 0, shape[0]!);
    sums.add(await readTrunk(store, manifest, name), exact);
  }
}
