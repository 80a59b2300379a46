/** `moqe pack`: a checkpoint to a packed model, deterministic to the byte and resumable. */
import { MoqeError } from "../base/errors.ts";
import type { MatrixFormat } from "../base/layout.ts";
import type { ModelPlan } from "../base/plan.ts";
import { checkAgainstPlan, checkCopies, type LeftOut } from "../checkpoint/check.ts";
import type { Checkpoint } from "../checkpoint/contract.ts";
import { asPlanned } from "../checkpoint/parts.ts";
import type { WritableStore } from "../store/contract.ts";
import { type BlockRef, FORMAT_VERSION, type Manifest } from "../store/manifest.ts";
import { ExpertTensors } from "./bases.ts";
import { chooseRecipes } from "./expert_recipes.ts";
import { PACKER_VERSION, type PackOptions } from "./options.ts";
import { checkOrder } from "./order.ts";
import { checkNothingElse } from "./packed_experts.ts";
import type { PackProgress } from "./progress.ts";
import { Run, type Work } from "./run.ts";
import { type PartSize, planSizes } from "./sizes.ts";
import { describeRecipes, FormatTable, type Recipes, resolveWidths, trunkItems } from "./widths.ts";
import { writeManifest } from "./write_manifest.ts";

export interface PackReport {
  readonly manifest: Manifest;
  /** For --manifest-sha256. */
  readonly manifestSha256: string;
  readonly sizes: PartSize[];
  /** Blocks that an earlier, interrupted run had finished. */
  readonly resumedBlocks: number;
  /** Tensors of the checkpoint that are left out on purpose. */
  readonly leftOut: readonly LeftOut[];
}

/**
 * Packs a checkpoint into a store; manifest.json is written last. Memory: two chunks of rows, two objects
 * and one block, of experts on bases those of a layer twice in f32, and what `asPlanned` says where tensors are made of
 * parts, whatever the checkpoint's size.
 *
 * @throws MoqeError `bad_input` for a checkpoint that is not as the plan says, `corrupt` or `unsupported` with
 * the tensor's name for weights that cannot be written
 */
export async function packCheckpoint(
  checkpoint: Checkpoint,
  plan: ModelPlan,
  out: WritableStore,
  options: PackOptions,
  onProgress: (progress: PackProgress) => void = () => {},
): Promise<PackReport> {
  const leftOut = checkAgainstPlan(checkpoint.weights, plan);
  await checkCopies(checkpoint.weights, plan, options.signal);
  const recipes = resolveWidths(options);
  if (options.expertsFrom !== undefined) checkNothingElse(options, options.expertsFrom);
  checkCalibration(recipes, options);
  if (options.order !== undefined) checkOrder(options.order, plan.expertLayers);
  const items = trunkItems(plan, recipes);
  options.expertsFrom?.checkBases(items);
  const weights = asPlanned(checkpoint.weights, plan);
  const tensors = new ExpertTensors(weights, plan, items, options.signal);
  const chosen = await chooseRecipes(tensors, plan, recipes, options);
  const formats = new FormatTable();
  await using _lock = await options.journal?.lock?.();
  const { card } = checkpoint;
  const run = await Run.start(tensors, plan, out, { options, items, chosen, onProgress, card });
  const made = await writeBlocks(checkpoint, plan, run, { items, chosen, formats })
    .finally(() => run.writer.settle());
  const quantizer = describeRecipes(recipes, options.expertsFrom) +
    (options.calibration === undefined
      ? ""
      : `; calibration ${options.calibration.sha256.slice(0, 16)}`);
  const manifest = assemble(checkpoint, options, quantizer, {
    formats: formats.formats,
    objects: run.writer.objects,
    ...made,
  });
  const manifestSha256 = await writeManifest(out, manifest);
  await options.journal?.remove();
  return {
    manifest,
    manifestSha256,
    sizes: planSizes(plan, options, chosen),
    resumedBlocks: run.resumedBlocks,
    leftOut,
  };
}

/** Every block in its fixed order, then the tokenizer's. */
async function writeBlocks(
  checkpoint: Checkpoint,
  plan: ModelPlan,
  run: Run,
  work: Pick<Work, "items" | "chosen"> & { formats: FormatTable },
) {
  const { items, chosen, formats } = work;
  const trunk: Manifest["trunk"] = [];
  for (const item of items) {
    trunk.push({
      name: item.name,
      shape: [...item.shape],
      format: formats.indexOf(item.recipe.format),
      blocks: await run.trunk(item),
    });
  }
  await run.writer.flush();
  const expertLayers: Manifest["expertLayers"] = [];
  for (const [l, spec] of plan.expertLayers.entries()) {
    const blocks = await run.experts(spec, l);
    expertLayers.push({
      stack: spec.stack,
      layer: spec.layer,
      experts: blocks.map((block, e) => ({
        format: formats.indexOf(chosen[l]![e]!.format),
        block,
      })),
    });
  }
  const tokenizer = await run.writer.addText(checkpoint.texts.tokenizer);
  return { trunk, expertLayers, tokenizer };
}

function checkCalibration({ experts }: Recipes, { calibration }: PackOptions): void {
  const gptq = Object.values(experts).some((r) => r.rounding === "gptq");
  if (!gptq || calibration !== undefined) return;
  throw new MoqeError("bad_input", {
    action: "round experts by gptq",
    rule: "it needs what the experts' inputs are like",
    observed: "no calibration",
    remedy: "run moqe calibrate, and give pack its file with --calibration",
  });
}

function assemble(
  checkpoint: Checkpoint,
  options: PackOptions,
  quantizer: string,
  made: Pick<Manifest, "objects" | "trunk" | "expertLayers"> & {
    formats: readonly MatrixFormat[];
    tokenizer: BlockRef;
  },
): Manifest {
  const { texts, card } = checkpoint;
  const text = options.licence.text;
  return {
    format: "moqe",
    version: FORMAT_VERSION,
    name: options.name,
    config: texts.config as Manifest["config"],
    generation: texts.generation,
    tokenizer: { block: made.tokenizer, config: texts.tokenizerConfig },
    ...(texts.chatTemplates.length === 0 ? {} : { chatTemplates: [...texts.chatTemplates] }),
    pairs: [...options.pairs],
    formats: made.formats.map(({ levels, ...f }) => levels ? { ...f, levels: [...levels] } : f),
    objects: made.objects,
    trunk: made.trunk,
    expertLayers: made.expertLayers,
    provenance: {
      // No local path, which would make packs differ.
      ...card === undefined
        ? { checkpoint: options.name }
        : { checkpoint: `hf://${card.repository}@${card.commit}`, languages: [...card.languages] },
      quantizer,
      packer: PACKER_VERSION,
    },
    licence: { id: options.licence.id, ...(text === undefined ? {} : { text }) },
  };
}
