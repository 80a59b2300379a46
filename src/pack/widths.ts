/** Which width each part of a model gets. */
import type { MatrixFormat } from "../base/layout.ts";
import type { ModelPlan, TensorRole } from "../base/plan.ts";
import { describeRecipe, type Recipe, resolveWidth, type Width } from "../quant/quantizers.ts";

/** Widths as asked for. Routers, norms and biases stay f32. */
export interface PackWidths {
  readonly experts: Width;
  /** Attention and dense feed-forward matrices. */
  readonly trunk: Width;
  readonly embedding: Width;
  /** Left out: as the embedding, which a tied lm_head then shares. */
  readonly lmHead?: Width | undefined;
}

/** Widths with nothing left open, and the model's table of formats. */
export interface Recipes {
  readonly experts: Recipe;
  readonly byRole: Readonly<Record<TensorRole, Recipe>>;
  /** Distinct formats in a fixed order; manifests name them by index. */
  readonly formats: readonly MatrixFormat[];
}

export const LM_HEAD = "lm_head.weight";

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
  const experts = resolveWidth(widths.experts);
  const distinct = new Map<string, MatrixFormat>();
  for (const { format } of [...Object.values(byRole), experts]) {
    distinct.set(JSON.stringify(format), format);
  }
  return { experts, byRole, formats: [...distinct.values()] };
}

/** Index of a format in the table. */
export function formatIndex(recipes: Recipes, format: MatrixFormat): number {
  const text = JSON.stringify(format);
  return recipes.formats.findIndex((f) => JSON.stringify(f) === text);
}

/** One trunk tensor to write: its name in the manifest, and where its weights come from. */
export interface TrunkItem {
  readonly name: string;
  /** The checkpoint's tensor; a tied lm_head's is the embedding. */
  readonly source: string;
  readonly shape: readonly number[];
  readonly recipe: Recipe;
  readonly role: TensorRole;
}

/**
 * Trunk tensors in the plan's order. A tied lm_head (one that the plan ignores) is written of its own only
 * where it is to have another width than the embedding.
 */
export function trunkItems(plan: ModelPlan, recipes: Recipes): TrunkItem[] {
  const items: TrunkItem[] = plan.tensors.map((t) => ({
    name: t.name,
    source: t.name,
    shape: t.shape,
    recipe: recipes.byRole[t.role],
    role: t.role,
  }));
  const embedding = items.find((i) => i.role === "embedding");
  const recipe = recipes.byRole.lm_head;
  const tied = plan.ignored.has(LM_HEAD) && !items.some((i) => i.name === LM_HEAD);
  if (
    tied && embedding !== undefined && describeRecipe(recipe) !== describeRecipe(embedding.recipe)
  ) {
    items.push({ ...embedding, name: LM_HEAD, recipe, role: "lm_head" });
  }
  return items;
}

/** Widths in words, for the manifest's provenance. */
export function describeRecipes({ experts, byRole }: Recipes): string {
  const parts = {
    experts,
    trunk: byRole.matrix,
    embedding: byRole.embedding,
    lm_head: byRole.lm_head,
  };
  return Object.entries(parts).map(([name, r]) => `${name} ${describeRecipe(r)}`).join("; ");
}
