/**
 * A checkpoint whose experts are added to bases, as the packer reads it: what a base loses by its own codes is taken up by
 * every expert that is added to it, so that base and expert together are what the checkpoint says.
 */
import { baseOf, type ExpertLayerSpec, type ModelPlan } from "../base/plan.ts";
import type { TensorSource } from "../checkpoint/contract.ts";
import { dequantize, quantizeMatrix } from "../quant/matrix.ts";
import type { TrunkItem } from "./widths.ts";

/** A base [rows, cols] as it will be decoded, and what its codes lose. */
interface Base {
  readonly decoded: Float32Array<ArrayBuffer>;
  readonly loss: Float32Array<ArrayBuffer>;
}

/** The tensors of a checkpoint, with experts' matrices less their bases as these are packed. Without bases: as they are. */
export class ExpertTensors implements TensorSource {
  /** By an expert's matrix: its base's name, and the layer's ordinal. */
  readonly #places = new Map<string, { name: string; layer: number }>();
  /** The bases of the layer that was read last: f32, twice their size. */
  readonly #held = new Map<string, Promise<Base>>();
  #heldLayer = -1;

  constructor(
    readonly checkpoint: TensorSource,
    plan: ModelPlan,
    readonly items: readonly TrunkItem[],
    readonly signal?: AbortSignal,
  ) {
    for (const [l, layer] of plan.expertLayers.entries()) {
      for (let e = 0; e < layer.count && layer.bases !== undefined; e++) {
        for (const { name } of layer.projections) {
          const base = layer.bases.tensorName(baseOf(layer, e)!, name);
          this.#places.set(layer.tensorNames(e, name).weight, { name: base, layer: l });
        }
      }
    }
  }

  get origin(): string {
    return this.checkpoint.origin;
  }

  get identity(): string {
    return this.checkpoint.identity;
  }

  get tensors(): TensorSource["tensors"] {
    return this.checkpoint.tensors;
  }

  /** As the checkpoint's own; an expert's rows are what is due beside its base as packed. */
  async readRows(
    ...ask: Parameters<TensorSource["readRows"]>
  ): Promise<Float32Array<ArrayBuffer>> {
    const [name, rowStart, rowCount] = ask;
    const data = await this.checkpoint.readRows(...ask);
    const base = await this.#baseOf(name);
    if (base === undefined) return data;
    const { cols } = this.#item(this.#places.get(name)!.name);
    for (let i = 0, at = rowStart * cols; i < rowCount * cols; i++, at++) {
      data[i]! += base.loss[at]!;
    }
    return data;
  }

  /** f32 [rows, cols]: the base that an expert's matrix is added to, as packed. It stays whoever's it is: do not write. */
  async base(
    layer: ExpertLayerSpec,
    expert: number,
    projection: string,
  ): Promise<Float32Array<ArrayBuffer> | undefined> {
    return (await this.#baseOf(layer.tensorNames(expert, projection).weight))?.decoded;
  }

  #baseOf(expertName: string): Promise<Base> | undefined {
    const place = this.#places.get(expertName);
    if (place === undefined) return undefined;
    const { name, layer } = place, known = this.#held.get(name);
    if (known !== undefined) return known;
    if (layer !== this.#heldLayer) this.#held.clear();
    this.#heldLayer = layer;
    const made = this.#encode(name);
    this.#held.set(name, made);
    return made;
  }

  async #encode(name: string): Promise<Base> {
    const { recipe, rows, cols } = this.#item(name);
    const exact = await this.checkpoint.readRows(name, 0, rows, { signal: this.signal });
    const decoded = dequantize(quantizeMatrix(exact, rows, cols, recipe, name));
    return { decoded, loss: exact.map((w, i) => w - decoded[i]!) };
  }

  #item(name: string) {
    const { recipe, shape } = this.items.find((i) => i.source === name)!;
    const [rows, cols] = shape as [number, number];
    return { recipe, rows, cols };
  }

  close(): void {
    this.checkpoint.close();
  }
}
