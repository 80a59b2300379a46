/** How far the experts of a packed model are from those of the checkpoint that it was packed from. */
import { architectureOf } from "../../src/arch/registry.ts";
import { expertLayout } from "../../src/base/layout.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { dequantize, viewMatrix } from "../../src/quant/matrix.ts";
import { FileStore } from "../../src/store/file_store.ts";
import { MANIFEST_NAME, parseManifest } from "../../src/store/manifest.ts";

/** Sum of squared error over sum of squares, over every expert matrix; undefined where there are no experts. */
export async function expertError(packed: string, folder: string): Promise<number | undefined> {
  const store = new FileStore(packed);
  const manifest = parseManifest(Deno.readTextFileSync(`${packed}/${MANIFEST_NAME}`), packed);
  const checkpoint = await openCheckpoint(folder);
  let error = 0, squares = 0;
  try {
    const { plan } = architectureOf(checkpoint.texts.config).read(checkpoint.texts.config);
    for (const [l, spec] of plan.expertLayers.entries()) {
      for (const [e, { format, block }] of manifest.expertLayers[l]!.experts.entries()) {
        const layout = expertLayout(spec.projections, manifest.formats[format]!);
        const bytes = await store.readRange(manifest.objects[block.object]!.name, block);
        for (const [p, { name, rows, cols }] of spec.projections.entries()) {
          const view = viewMatrix(bytes, rows, cols, layout.format, layout.projections[p]!);
          const decoded = dequantize(view);
          const exact = await checkpoint.weights.readRows(
            spec.tensorNames(e, name).weight,
            0,
            rows,
          );
          for (let i = 0; i < decoded.length; i++) {
            error += (decoded[i]! - exact[i]!) ** 2;
            squares += exact[i]! ** 2;
          }
        }
      }
    }
  } finally {
    checkpoint.weights.close();
  }
  return squares === 0 ? undefined : error / squares;
}
