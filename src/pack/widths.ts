/** Which width each part of a model gets. */
import { MoqeError } from "../base/errors.ts";
import type { MatrixFormat } from "../base/layout.ts";
import type { ExpertLayerSpec, ModelPlan, Stack, TensorPlace, TensorRole } from "../base/plan.ts";
import { describeRecipe, type Recipe, resolveWidth, type Width } from "../quant/quantizers.ts";

/** Parts of a model whose width can be said apart, in one stack ("encoder.attention") or in both. */
export const SPLIT_PARTS = ["experts", "dense_ffn", "attention"] as const;
export type SplitPart = typeof SPLIT_PARTS[number];
/** The experts of one layer, counted from 0. */
const ONE_LAYER = /^(encoder|decoder)\.\d+\.experts$/;

/** Widths as asked for. Routers, norms and biases stay f32. */
export interface PackWidths {
  readonly experts: Width;
  /** Attention and dense feed-forward matrices. */
  readonly trunk: Width;
  readonly embedding: Width;
  /** Left out: as the embedding, which a tied lm_head then shares. */
  readonly lmHead?: Width | undefined;
  /** Exceptions by part, "attention", "encoder.attention" or "decoder.3.experts"; what names most goes first. */
  readonly parts?: Readonly<Record<string, Width>> | undefined;
}

/** Widths with nothing left open. */
export interface Recipes {
  readonly experts: Readonly<Record<Stack, Recipe>>;
  readonly byRole: Readonly<Record<TensorRole, Recipe>>;
  /** By "encoder.attention", "decoder.3.experts" and the like, where an exception says so. */
  readonly exceptions: ReadonlyMap<string, Recipe>;
}

/** What a layer's experts get. */
export function expertRecipe(
  { experts, exceptions }: Recipes,
  { stack, layer }: Pick<ExpertLayerSpec, "stack" | "layer">,
): Recipe {
  return exceptions.get(layerPart({ stack, layer })) ?? experts[stack];
}

/** What a layer is called in flags: "decoder.3". */
export function layerName({ stack, layer }: Pick<ExpertLayerSpec, "stack" | "layer">): string {
  return `${stack}.${layer}`;
}

/** What one layer's experts are called among the exceptions. */
function layerPart(layer: Pick<ExpertLayerSpec, "stack" | "layer">): string {
  return `${layerName(layer)}.experts`;
}

/** Throws MoqeError `bad_input` for a width that has no meaning. */
export function resolveWidths(widths: PackWidths): Recipes {
  const full = resolveWidth({ bits: 32 });
  const embedding = resolveWidth(widths.embedding);
  const byRole: Record<TensorRole, Recipe> = {
    vector: full,
    exact: full,
    matrix: resolveWidth(widths.trunk),
    embedding,
    lm_head: widths.lmHead === undefined ? embedding : resolveWidth(widths.lmHead),
  };
  const exceptions = exceptionsOf(widths.parts ?? {});
  const experts = resolveWidth(widths.experts);
  const expertsOf = (stack: Stack) => exceptions.get(`${stack}.experts`) ?? experts;
  const resolved = { encoder: expertsOf("encoder"), decoder: expertsOf("decoder") };
  const others = [...exceptions].filter(([name]) => !name.endsWith("experts")).map(([, r]) => r);
  for (const recipe of [...Object.values(byRole), ...others]) {
    if (recipe.quantizer === "mxfp4") {
      throw new MoqeError("bad_input", {
        action: "pack",
        rule: "only experts are stored as MXFP4, so nothing else can be kept so",
        remedy: "give that part another width",
      });
    }
    if (recipe.quantizer === "trellis") {
      throw new MoqeError("bad_input", {
        action: "pack",
        rule: "only experts can be a trellis: its rows are read with those above them",
        observed: describeRecipe(recipe),
        remedy: "pack with --quantizer lloyd, or give that part no width of its own",
      });
    }
    if (recipe.rounding === "gptq") {
      throw new MoqeError("bad_input", {
        action: "pack",
        rule: "only experts are rounded by gptq: calibration sees their inputs alone",
        observed: describeRecipe(recipe),
      });
    }
  }
  return { experts: resolved, byRole, exceptions };
}

/** Exceptions by stack and part. */
function exceptionsOf(parts: Readonly<Record<string, Width>>): Map<string, Recipe> {
  const all = new Map<string, Recipe>();
  const stacks = ["encoder", "decoder"] as const;
  const known = new Set<string>(SPLIT_PARTS.flatMap((p) => [p, ...stacks.map((s) => `${s}.${p}`)]));
  const entries = Object.entries(parts).sort(([a], [b]) =>
    a.split(".").length - b.split(".").length
  );
  for (const [name, width] of entries) {
    if (!known.has(name) && !ONE_LAYER.test(name)) {
      throw new MoqeError("bad_input", {
        action: "choose a part's width",
        rule: `parts are ${[...known].join(", ")}, and of one layer as decoder.3.experts`,
        observed: name,
      });
    }
    const recipe = resolveWidth(width);
    const names = name.includes(".") ? [name] : stacks.map((s) => `${s}.${name}`);
    for (const one of names) all.set(one, recipe);
  }
  return all;
}

/** Whether a checkpoint stores a layer's experts as MXFP4. */
export function storesMxfp4(layer: ExpertLayerSpec): boolean {
  return layer.projections.every(({ name }) =>
    layer.parts?.(0, name, "weight").every((p) => p.encoding === "mxfp4") ?? false
  );
}

/**
 * Throws MoqeError `bad_input` for an exception of a layer that has no experts, and for experts to be kept as MXFP4 that
 * are not stored so.
 */
export function checkLayers(plan: ModelPlan, recipes: Recipes): void {
  const other = plan.expertLayers.find((layer) =>
    expertRecipe(recipes, layer).quantizer === "mxfp4" && !storesMxfp4(layer)
  );
  if (other !== undefined) {
    throw new MoqeError("bad_input", {
      action: "keep experts as MXFP4",
      rule: `the checkpoint does not store those of ${layerName(other)} so`,
      remedy: "give them a width: 2bit, 3bit, 4bit, 8bit or f16",
    });
  }
  const known = new Set(plan.expertLayers.map(layerPart));
  for (const name of recipes.exceptions.keys()) {
    if (!ONE_LAYER.test(name) || known.has(name)) continue;
    throw new MoqeError("bad_input", {
      action: "choose a layer's width",
      rule: `layers with experts are ${[...known].join(", ")}`,
      observed: name,
    });
  }
}

/** Distinct formats in the order of their first use; manifests name them by index. */
export class FormatTable {
  readonly formats: MatrixFormat[] = [];
  readonly #index = new Map<string, number>();

  /** Index of a format, which is added where it is new. */
  indexOf(format: MatrixFormat): number {
    const text = JSON.stringify(format);
    const known = this.#index.get(text);
    if (known !== undefined) return known;
    this.#index.set(text, this.formats.length);
    return this.formats.push(format) - 1;
  }
}

/** One trunk tensor to write: its name in the manifest, and where its weights come from. */
export interface TrunkItem {
  readonly name: string;
  /** The checkpoint's tensor; a tied lm_head's is the embedding. */
  readonly source: string;
  readonly shape: readonly number[];
  readonly recipe: Recipe;
  readonly role: TensorRole;
  readonly place?: TensorPlace | undefined;
}

/**
 * Trunk tensors in the plan's order. A tied output matrix is written of its own only where it is to have another width
 * than the embedding.
 */
export function trunkItems(plan: ModelPlan, recipes: Recipes): TrunkItem[] {
  const items: TrunkItem[] = plan.tensors.map((t) => ({
    name: t.name,
    source: t.name,
    shape: t.shape,
    recipe: trunkRecipe(t, recipes),
    role: t.role,
    place: t.place,
  }));
  const head = plan.tiedHead, embedding = items.find((i) => i.name === head?.of);
  const recipe = recipes.byRole.lm_head;
  if (
    head !== undefined && embedding !== undefined &&
    describeRecipe(recipe) !== describeRecipe(embedding.recipe)
  ) {
    items.push({ ...embedding, name: head.name, recipe, role: "lm_head" });
  }
  return items;
}

function trunkRecipe(
  { role, place }: { role: TensorRole; place?: TensorPlace | undefined },
  recipes: Recipes,
): Recipe {
  const exception = role === "matrix" && place !== undefined
    ? recipes.exceptions.get(`${place.stack}.${place.part}`)
    : undefined;
  return exception ?? recipes.byRole[role];
}

export const PARTS = [...SPLIT_PARTS, "embedding", "lm_head", "other"] as const;
export type Part = typeof PARTS[number];

/** The part that a trunk tensor is counted in. */
export function partOf({ role, place }: Pick<TrunkItem, "role" | "place">): Part {
  if (role === "embedding" || role === "lm_head") return role;
  return place?.part ?? "other";
}

/** Widths in words, for the manifest's provenance; `taken`: experts that come from elsewhere, all or of some layers. */
export function describeRecipes(
  { experts, byRole, exceptions }: Recipes,
  taken?: { readonly isWhole: boolean; describe(): string } | undefined,
): string {
  const one = describeRecipe(experts.encoder), other = describeRecipe(experts.decoder);
  const parts: Record<string, Recipe> = {
    ...(taken?.isWhole
      ? {}
      : one === other
      ? { experts: experts.encoder }
      : { "encoder experts": experts.encoder, "decoder experts": experts.decoder }),
    trunk: byRole.matrix,
    embedding: byRole.embedding,
    lm_head: byRole.lm_head,
  };
  for (const [name, recipe] of exceptions) {
    const isListed = name.endsWith("experts") && !ONE_LAYER.test(name);
    if (!isListed) parts[name.replaceAll(".", " ")] = recipe;
  }
  const words = Object.entries(parts).map(([name, r]) => `${name} ${describeRecipe(r)}`).join("; ");
  return taken === undefined ? words : `${words}; ${taken.describe()}`;
}
