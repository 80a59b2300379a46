/** How far the weights of a packed model are from those of the checkpoint that it was packed from. */
import { architectureOf } from "../../src/arch/registry.ts";
import { expertLayout, matrixLayout } from "../../src/base/layout.ts";
import type { ModelPlan } from "../../src/base/plan.ts";
import type { Checkpoint } from "../../src/checkpoint/contract.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { dequantize, type EncodedMatrix, viewMatrix } from "../../src/quant/matrix.ts";
import type { ObjectStore } from "../../src/store/contract.ts";
import type { BlockRef, Manifest } from "../../src/store/manifest.ts";
import { openModel } from "../../src/store/open.ts";

/** Squared error over squares, of the experts where they have less than 16 bits, else of the trunk's matrices that do. */
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

  add(matrix: EncodedMatrix, exact: Float32Array): void {
    const decoded = dequantize(matrix);
    for (let i = 0; i < decoded.length; i++) {
      this.error += (decoded[i]! - exact[i]!) ** 2;
      this.squares += exact[i]! ** 2;
    }
  }
}

async function addExperts({ manifest, store, plan, checkpoint }: Model, sums: Sums): Promise<void> {
  for (const [l, spec] of plan.expertLayers.entries()) {
    for (const [e, { format, block }] of manifest.expertLayers[l]!.experts.entries()) {
      const layout = expertLayout(spec.projections, manifest.formats[format]!);
      if (layout.format.bits >= 16) continue;
      const bytes = await read(manifest, store, block);
      for (const [p, { name, rows, cols }] of spec.projections.entries()) {
        const exact = await checkpoint.weights.readRows(spec.tensorNames(e, name).weight, 0, rows);
        sums.add(viewMatrix(bytes, rows, cols, layout.format, layout.projections[p]!), exact);
      }
    }
  }
}

async function addTrunk({ manifest, store, checkpoint }: Model, sums: Sums): Promise<void> {
  for (const { name, shape, format, blocks } of manifest.trunk) {
    const form = manifest.formats[format]!, [rows, cols] = shape as [number, number];
    if (form.bits >= 16 || shape.length !== 2) continue;
    const parts = await Promise.all(blocks.map((b) => read(manifest, store, b)));
    const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
    const { codesBytes } = matrixLayout(rows, cols, form);
    const matrix = viewMatrix(bytes, rows, cols, form, {
      codesOffset: 0,
      scalesOffset: codesBytes,
    });
    sums.add(matrix, await checkpoint.weights.readRows(name, 0, rows));
  }
}

function read(manifest: Manifest, store: ObjectStore, block: BlockRef) {
  return store.readRange(manifest.objects[block.object]!.name, block);
}
