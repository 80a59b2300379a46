/** Experts of one layer at a width of their own. */
import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import type { StoredTensors } from "../../src/checkpoint/contract.ts";
import type { PackOptions } from "../../src/pack/options.ts";
import { packCheckpoint } from "../../src/pack/pack.ts";
import { planSizes } from "../../src/pack/sizes.ts";
import { dequantize, quantizeMatrix, viewMatrix } from "../../src/quant/matrix.ts";
import { resolveWidth } from "../../src/quant/quantizers.ts";
import { FileStore } from "../../src/store/file_store.ts";
import { expertLayout } from "../../src/base/layout.ts";
import { TEST_PACK } from "../support/pack_options.ts";
import { openGolden, packGolden } from "../support/packed.ts";
import { temporaryFolder } from "../support/safetensors.ts";

const TWO = resolveWidth({ bits: 2 });
const options: PackOptions = {
  ...TEST_PACK,
  experts: { bits: 2 },
  parts: { "decoder.1.experts": { bits: 4 } },
};

Deno.test("one layer's experts can be wider, and the plan of it has the same sizes", async () => {
  using folder = temporaryFolder();
  const { checkpoint, plan } = await openGolden("every_layer");
  checkpoint.weights.close();
  const { manifest, sizes } = await packGolden("every_layer", new FileStore(folder.path), options);
  for (const { stack, layer, experts } of manifest.expertLayers) {
    const bits = experts.map((e) => manifest.formats[e.format]!.bits);
    const wanted = stack === "decoder" && layer === 1 ? 4 : 2;
    assertEquals(bits, bits.map(() => wanted), `${stack} ${layer}`);
  }
  assertStringIncludes(manifest.provenance.quantizer, "decoder 1 experts 4-bit");
  const bytes = (of: typeof sizes) => of.map((s) => [s.part, s.packedBytes]);
  assertEquals(bytes(planSizes(plan, options)), bytes(sizes));
});

Deno.test("experts that are on four levels already stay there in a wider layer, bit for bit", async () => {
  using folder = temporaryFolder();
  const { checkpoint, plan } = await openGolden("every_layer");
  const l = plan.expertLayers.findIndex((s) => s.stack === "decoder" && s.layer === 1);
  const spec = plan.expertLayers[l]!;
  const matrices = spec.projections.map((p) => ({
    ...p,
    tensor: spec.tensorNames(0, p.name).weight,
  }));
  const levels = async (m: typeof matrices[number]) => {
    const data = await checkpoint.weights.readRows(m.tensor, 0, m.rows);
    return dequantize(quantizeMatrix(data, m.rows, m.cols, TWO));
  };
  const exact = new Map(
    await Promise.all(matrices.map(async (m) => [m.tensor, await levels(m)] as const)),
  );
  const weights = Object.create(checkpoint.weights) as StoredTensors;
  weights.readRows = async (name, start, count, ...rest) => {
    const rows = await checkpoint.weights.readRows(name, start, count, ...rest);
    const all = exact.get(name), cols = rows.length / count;
    return all === undefined ? rows : all.slice(start * cols, (start + count) * cols);
  };
  const store = new FileStore(folder.path);
  const { manifest } = await packCheckpoint({ ...checkpoint, weights }, plan, store, options);
  const experts = manifest.expertLayers[l]!.experts;
  const bits = experts.map((e) => manifest.formats[e.format]!.bits);
  assertEquals(bits, bits.map((_, e) => e === 0 ? 2 : 4));
  const { block } = experts[0]!;
  const bytes = await store.readRange(manifest.objects[block.object]!.name, block);
  const layout = expertLayout(spec.projections, TWO.format);
  for (const [p, { rows, cols, tensor }] of matrices.entries()) {
    const at = layout.projections[p]!;
    assertEquals(dequantize(viewMatrix(bytes, rows, cols, TWO.format, at)), exact.get(tensor));
  }
  checkpoint.weights.close();
});

Deno.test("a layer without experts is refused, by pack and by plan", async () => {
  using folder = temporaryFolder();
  const { checkpoint, plan } = await openGolden("every_layer");
  checkpoint.weights.close();
  const wrong = { ...options, parts: { "decoder.9.experts": { bits: 4 } } } as const;
  const pack = () => packGolden("every_layer", new FileStore(folder.path), wrong);
  const error = await assertRejects(pack, MoqeError, "layers with experts are encoder.0.experts");
  assertEquals(error.code, "bad_input");
  assertThrows(() => planSizes(plan, wrong), MoqeError, "decoder.9.experts");
});
