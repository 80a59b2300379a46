/** Experts' matrices as they act, with the bases that they are added to: a checkpoint's, and a packed model's. */
import { expertLayout } from "../../src/base/layout.ts";
import { baseOf, type ExpertLayerSpec } from "../../src/base/plan.ts";
import type { TensorSource } from "../../src/checkpoint/contract.ts";
import { dequantize, viewMatrix } from "../../src/quant/matrix.ts";
import type { ObjectStore } from "../../src/store/contract.ts";
import type { Manifest } from "../../src/store/manifest.ts";
import { readTrunk } from "./trunk.ts";

/** One expert: by projection, f32 [rows, cols] and f32 [rows] (zeros where it has no bias). */
export interface WholeExpert {
  readonly weights: Float32Array[];
  readonly biases: Float32Array[];
}

/** Name of the base of an expert's projection, if it has one. */
function baseName(layer: ExpertLayerSpec, expert: number, projection: string): string | undefined {
  return layer.bases?.tensorName(baseOf(layer, expert)!, projection);
}

function sum(one: Float32Array, other: Float32Array | undefined): Float32Array {
  return other === undefined ? one : one.map((v, i) => v + other[i]!);
}

/** An expert of a checkpoint. */
export async function exactExpert(
  weights: TensorSource,
  layer: ExpertLayerSpec,
  expert: number,
): Promise<WholeExpert> {
  const found: WholeExpert = { weights: [], biases: [] };
  for (const { name, rows, bias } of layer.projections) {
    const names = layer.tensorNames(expert, name), base = baseName(layer, expert, name);
    const own = await weights.readRows(names.weight, 0, rows);
    const more = base === undefined ? undefined : await weights.readRows(base, 0, rows);
    found.weights.push(sum(own, more));
    found.biases.push(bias ? await weights.readRows(names.bias, 0, 1) : new Float32Array(rows));
  }
  return found;
}

/** Reads experts of a packed model; each base is decoded once. */
export class PackedModelExperts {
  readonly #bases = new Map<string, Promise<Float32Array>>();

  constructor(readonly store: ObjectStore, readonly manifest: Manifest) {}

  /** An expert and the bytes of its block. `ordinal` counts the plan's layers, `layer` is that one. */
  async read(
    layer: ExpertLayerSpec,
    ordinal: number,
    expert: number,
  ): Promise<WholeExpert & { bytes: number; bits: number }> {
    const { formats, objects, expertLayers } = this.manifest;
    const { format, block } = expertLayers[ordinal]!.experts[expert]!, form = formats[format]!;
    const bytes = await this.store.readRange(objects[block.object]!.name, block);
    const { projections } = expertLayout(layer.projections, form);
    const found: WholeExpert = { weights: [], biases: [] };
    for (const [p, { name, rows, cols, bias }] of layer.projections.entries()) {
      const at = projections[p]!, base = baseName(layer, expert, name);
      const own = dequantize(viewMatrix(bytes, rows, cols, form, at));
      found.weights.push(sum(own, await this.#base(base)));
      const row = () => new Float32Array(bytes.buffer, bytes.byteOffset + at.biasOffset, rows);
      found.biases.push(bias ? row() : new Float32Array(rows));
    }
    return { ...found, bytes: bytes.length, bits: form.bits };
  }

  async #base(name: string | undefined): Promise<Float32Array | undefined> {
    if (name === undefined) return undefined;
    const known = this.#bases.get(name) ?? readTrunk(this.store, this.manifest, name);
    this.#bases.set(name, known);
    return await known;
  }
}
