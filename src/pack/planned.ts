/** What a pack would write, as far as sizes go, before anything is packed. */
import { expertLayout } from "../base/layout.ts";
import type { ModelPlan } from "../base/plan.ts";
import {
  type BlockRef,
  FORMAT_VERSION,
  type Manifest,
  TRUNK_BLOCK_BYTES,
} from "../store/manifest.ts";
import { PACKER_VERSION } from "./options.ts";
import { trunkBytes } from "./sizes.ts";
import { expertRecipe, FormatTable, type PackWidths, resolveWidths, trunkItems } from "./widths.ts";

/**
 * The manifest of a model that is not packed yet: its blocks have their lengths, but no bytes and so no hashes. For
 * reckoning alone; no store has it.
 */
export function plannedManifest(
  plan: ModelPlan,
  widths: PackWidths,
  of: { name: string; config: Manifest["config"]; tokenizerBytes: number },
): Manifest {
  const recipes = resolveWidths(widths), formats = new FormatTable();
  let bytes = 0;
  const block = (length: number): BlockRef => {
    const ref = { object: 0, offset: bytes, length, sha256: "0".repeat(64) };
    bytes += length;
    return ref;
  };
  const trunk = trunkItems(plan, recipes).map((item) => {
    const whole = trunkBytes(item), blocks: BlockRef[] = [];
    for (let at = 0; at < whole; at += TRUNK_BLOCK_BYTES) {
      blocks.push(block(Math.min(TRUNK_BLOCK_BYTES, whole - at)));
    }
    const format = formats.indexOf(item.recipe.format);
    return { name: item.name, shape: [...item.shape], format, blocks };
  });
  const expertLayers = plan.expertLayers.map((layer) => {
    const { format } = expertRecipe(recipes, layer);
    const { bytes: length } = expertLayout(layer.projections, format);
    const experts = Array.from({ length: layer.count }, () => ({
      format: formats.indexOf(format),
      block: block(length),
    }));
    return { stack: layer.stack, layer: layer.layer, experts };
  });
  const tokenizer = { block: block(of.tokenizerBytes), config: {} };
  return {
    format: "moqe",
    version: FORMAT_VERSION,
    name: of.name,
    config: of.config,
    generation: {},
    tokenizer,
    pairs: [],
    formats: formats.formats.map(({ levels, ...f }) => levels ? { ...f, levels: [...levels] } : f),
    objects: [{ name: `${"0".repeat(64)}.moqe`, bytes }],
    trunk,
    expertLayers,
    provenance: { checkpoint: of.name, quantizer: "", packer: PACKER_VERSION },
    licence: { id: "unknown" },
  };
}
