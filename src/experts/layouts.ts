/** How the bytes of each expert's block are laid out, held against what the manifest says of them. */
import { MoqeError } from "../base/errors.ts";
import { type ExpertLayout, expertLayout } from "../base/layout.ts";
import { baseOf, type ExpertLayerSpec, type ModelPlan } from "../base/plan.ts";
import type { Manifest } from "../store/manifest.ts";

/** The layout of each expert; equal (shape, format, base) share one object. Throws when a block has other bytes. */
export function checkedLayouts(manifest: Manifest, plan: ModelPlan): ExpertLayout[][] {
  const shared = new Map<string, ExpertLayout>();
  const layoutOf = (spec: ExpertLayerSpec, format: number, expert: number): ExpertLayout => {
    const base = baseOf(spec, expert);
    const id = `${format} ${base} ${spec.projections.map((p) => `${p.rows}x${p.cols}${p.bias}`)}`;
    const known = shared.get(id) ??
      { ...expertLayout(spec.projections, manifest.formats[format]!), base };
    shared.set(id, known);
    return known;
  };
  return plan.expertLayers.map((spec, l) =>
    manifest.expertLayers[l]!.experts.map((e, i) => {
      const layout = layoutOf(spec, e.format, i);
      if (layout.bytes === e.block.length) return layout;
      throw new MoqeError("corrupt", {
        action: `use ${spec.stack} layer ${spec.layer} expert ${i}`,
        rule: `its block must have ${layout.bytes} bytes`,
        observed: String(e.block.length),
        remedy: "pack the checkpoint again",
      });
    })
  );
}
