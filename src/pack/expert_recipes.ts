/** Which recipe each expert gets: by its layer, with the layer's codebook, or by a stated size. */
import { MoqeError } from "../base/errors.ts";
import type { ExpertLayerSpec, ModelPlan } from "../base/plan.ts";
import type { TensorSource } from "../checkpoint/contract.ts";
import { type BookSample, lloydLevels } from "../quant/codebook.ts";
import { dequantize, quantizeMatrix } from "../quant/matrix.ts";
import { atBits, isCalibrated, type Recipe, resolveWidth } from "../quant/quantizers.ts";
import type { ExpertTensors } from "./bases.ts";
import { mixedWidths } from "./mixed_widths.ts";
import type { PackOptions } from "./options.ts";
import { checkLayers, expertRecipe, type Recipes } from "./widths.ts";

/** A layer's codebook is fitted to this many of its experts, and to about this many weights of each matrix. */
const BOOK_EXPERTS = 4;
const BOOK_WEIGHTS = 2 ** 15;

/** Widths that experts may have under a stated size. */
const MIXED_BITS = [2, 3, 4] as const;

/**
 * Each expert's recipe, by layer. Reads some rows of the checkpoint where codebooks are to be fitted, and every expert
 * where their widths go by sensitivity, or of a layer with a width of its own. Experts of a packed model keep theirs, and
 * their bytes count as taken where all have a stated size.
 */
export async function chooseRecipes(
  source: ExpertTensors,
  plan: ModelPlan,
  recipes: Recipes,
  options: PackOptions,
): Promise<Recipe[][]> {
  const { expertBytes, expertsFrom, calibration, signal } = options;
  if (expertsFrom?.isWhole) return plan.expertLayers.map((_, l) => expertsFrom.recipes(l));
  checkLayers(plan, recipes);
  if (expertBytes === undefined) return await byLayer(source, plan, recipes, options);
  const mayMix = (r: Recipe) => isCalibrated(r) || r.quantizer === "mxfp4";
  if (calibration === undefined || !Object.values(recipes.experts).every(mayMix)) {
    throw new MoqeError("bad_input", {
      action: "choose experts' widths by their sensitivity",
      rule: "it needs --calibration, and a quantizer that is no baseline",
      remedy: "run moqe calibrate first",
    });
  }
  const fixed = Object.keys(options.parts ?? {}).filter((part) => part.endsWith("experts"));
  if (fixed.length > 0) {
    throw new MoqeError("bad_input", {
      action: "choose experts' widths by their sensitivity",
      rule: "a total size divides all experts' bits, so none may have a width of its own",
      observed: `--part ${fixed.join(", ")}`,
      remedy: "leave out either --expert-bytes or that part",
    });
  }
  const ladders: Recipe[][] = [];
  for (const [l, layer] of plan.expertLayers.entries()) {
    const widths = expertsFrom?.has(l)
      ? []
      : MIXED_BITS.map((bits) => resolveWidth(atBits(options.experts, bits)));
    ladders.push(await Promise.all(widths.map((r) => fitted(source, layer, r, signal))));
  }
  const takenBytes = expertsFrom?.bytes ?? 0;
  const ask = { ladders, calibration, totalBytes: expertBytes, takenBytes, signal };
  const mixed = await mixedWidths(source, plan, ask);
  return mixed.map((here, l) => expertsFrom?.has(l) ? expertsFrom.recipes(l) : here);
}

/**
 * What each layer's experts are to have. In a layer of its own width those that the usual recipe leaves as they are keep
 * that; not where there is a calibration, by which codes are chosen anew.
 */
async function byLayer(
  source: TensorSource,
  plan: ModelPlan,
  recipes: Recipes,
  { calibration, expertsFrom, signal }: PackOptions,
): Promise<Recipe[][]> {
  const chosen: Recipe[][] = [];
  for (const [l, layer] of plan.expertLayers.entries()) {
    if (expertsFrom?.has(l)) {
      chosen.push(expertsFrom.recipes(l));
      continue;
    }
    const recipe = await fitted(source, layer, expertRecipe(recipes, layer), signal);
    const usual = recipes.experts[layer.stack];
    const mayKeep = recipe.format.bits > usual.format.bits && usual.quantizer === "symmetric" &&
      recipe.quantizer !== "mxfp4" && calibration === undefined;
    const here: Recipe[] = [];
    for (let e = 0; e < layer.count; e++) {
      const keeps = mayKeep && await isExact(source, layer, e, usual, signal);
      here.push(keeps ? usual : recipe);
    }
    chosen.push(here);
  }
  return chosen;
}

/**
 * Whether a recipe changes none of an expert's weights, as where training was with its very levels: more bits would only
 * take room then. Memory: a matrix and what it decodes to, in f32.
 */
async function isExact(
  source: TensorSource,
  layer: ExpertLayerSpec,
  expert: number,
  recipe: Recipe,
  signal?: AbortSignal,
): Promise<boolean> {
  for (const { name, rows, cols } of layer.projections) {
    const { weight } = layer.tensorNames(expert, name);
    const data = await source.readRows(weight, 0, rows, { signal });
    const decoded = dequantize(quantizeMatrix(data, rows, cols, recipe, weight));
    if (decoded.some((w, i) => w !== data[i])) return false;
  }
  return true;
}

/** A recipe with its layer's codebook; the Gaussian's stays where rotation makes the weights so. */
async function fitted(
  source: TensorSource,
  layer: ExpertLayerSpec,
  recipe: Recipe,
  signal?: AbortSignal,
): Promise<Recipe> {
  const { format } = recipe;
  if (recipe.quantizer !== "lloyd" || format.rotated) return recipe;
  const samples: BookSample[] = [];
  for (let i = 0; i < Math.min(BOOK_EXPERTS, layer.count); i++) {
    const expert = Math.floor(i * layer.count / Math.min(BOOK_EXPERTS, layer.count));
    for (const { name, rows, cols } of layer.projections) {
      const count = Math.min(rows, Math.ceil(BOOK_WEIGHTS / cols));
      const { weight } = layer.tensorNames(expert, name);
      const data = await source.readRows(weight, 0, count, { signal });
      samples.push({ weights: data, rows: count, cols });
    }
  }
  return { ...recipe, format: { ...format, levels: lloydLevels(samples, format) } };
}
