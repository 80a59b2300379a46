/** Sizes of a packed model by part, from its plan alone. */
import { expertLayout, matrixBytes, matrixLayout } from "../base/layout.ts";
import type { ModelPlan } from "../base/plan.ts";
import type { Recipe } from "../quant/quantizers.ts";
import {
  checkLayers,
  expertRecipe,
  type PackWidths,
  type Part,
  partOf,
  PARTS,
  resolveWidths,
  type TrunkItem,
  trunkItems,
} from "./widths.ts";

export interface PartSize {
  readonly part: Part | "total";
  /** Weights as the checkpoint has them; a tied lm_head written of its own adds none. */
  readonly weights: number;
  /** Two bytes a weight. */
  readonly fp16Bytes: number;
  readonly packedBytes: number;
  /** 1 - packed / fp16; 0 for an empty part. */
  readonly saved: number;
}

/**
 * One row a part in the order of PARTS, then the total. Experts are counted with their biases and padding.
 *
 * @param chosen each expert's recipe by layer, where they are not all as `widths` says
 */
export function planSizes(
  plan: ModelPlan,
  widths: PackWidths,
  chosen?: readonly (readonly Recipe[])[],
): PartSize[] {
  const recipes = resolveWidths(widths);
  checkLayers(plan, recipes);
  const weights = new Map<Part, number>(PARTS.map((p) => [p, 0]));
  const packed = new Map<Part, number>(PARTS.map((p) => [p, 0]));
  const add = (part: Part, count: number, bytes: number) => {
    weights.set(part, weights.get(part)! + count);
    packed.set(part, packed.get(part)! + bytes);
  };
  for (const item of trunkItems(plan, recipes)) {
    const { rows, cols } = rowsAndCols(item.shape);
    const copied = item.name !== item.source;
    add(partOf(item), copied ? 0 : rows * cols, trunkBytes(item));
  }
  for (const [l, layer] of plan.expertLayers.entries()) {
    let one = 0;
    for (const p of layer.projections) one += p.rows * (p.cols + (p.bias ? 1 : 0));
    const each = chosen?.[l] ?? new Array<Recipe>(layer.count).fill(expertRecipe(recipes, layer));
    for (const { format } of each) {
      add("experts", one, expertLayout(layer.projections, format).bytes);
    }
  }
  const row = (part: PartSize["part"], count: number, bytes: number): PartSize => ({
    part,
    weights: count,
    fp16Bytes: 2 * count,
    packedBytes: bytes,
    saved: count === 0 ? 0 : 1 - bytes / (2 * count),
  });
  const sum = (map: Map<Part, number>) => [...map.values()].reduce((a, b) => a + b, 0);
  return [
    ...PARTS.map((p) => row(p, weights.get(p)!, packed.get(p)!)),
    row("total", sum(weights), sum(packed)),
  ];
}

/** Bytes of a trunk tensor in the store. */
export function trunkBytes(item: TrunkItem): number {
  const { rows, cols } = rowsAndCols(item.shape);
  return matrixBytes(matrixLayout(rows, cols, item.recipe.format));
}

/** A vector is one row. */
export function rowsAndCols(shape: readonly number[]): { rows: number; cols: number } {
  return shape.length === 1 ? { rows: 1, cols: shape[0]! } : { rows: shape[0]!, cols: shape[1]! };
}
