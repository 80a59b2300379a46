/** Experts taken from a packed model, the rest from a checkpoint. */
import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { expertLayout } from "../../src/base/layout.ts";
import type { ModelPlan } from "../../src/base/plan.ts";
import type { Checkpoint, StoredTensors } from "../../src/checkpoint/contract.ts";
import { Calibration } from "../../src/pack/calibration/file.ts";
import type { PackOptions } from "../../src/pack/options.ts";
import { packCheckpoint } from "../../src/pack/pack.ts";
import { PackedExperts } from "../../src/pack/packed_experts.ts";
import { layerName } from "../../src/pack/widths.ts";
import { FileStore } from "../../src/store/file_store.ts";
import { type Manifest } from "../../src/store/manifest.ts";
import { openModel } from "../../src/store/open.ts";
import { writeCalibration } from "../support/calibration.ts";
import { TEST_PACK } from "../support/pack_options.ts";
import { openGolden, packGolden } from "../support/packed.ts";
import { temporaryFolder } from "../support/safetensors.ts";

const trellis: Partial<PackOptions> = {
  experts: { bits: 2, quantizer: "trellis", group: 0, rotate: true },
};

/** The checkpoint with other numbers in the tensors of this name. */
function changed(
  checkpoint: Checkpoint,
  name: RegExp,
  change: (x: number, i: number) => number,
): Checkpoint {
  const weights = Object.create(checkpoint.weights) as StoredTensors;
  weights.readRows = async (tensor, start, count, ...rest) => {
    const rows = await checkpoint.weights.readRows(tensor, start, count, ...rest);
    if (name.test(tensor)) rows.forEach((x, i) => rows[i] = change(x, start * 1009 + i));
    return rows;
  };
  return { ...checkpoint, weights };
}

/** Each expert's block by layer, cut into its matrices' bytes and its biases. */
async function expertsOf(folder: string, plan: ModelPlan, manifest: Manifest) {
  const store = new FileStore(folder), all: { matrices: string; biases: Float32Array }[] = [];
  for (const [l, { experts }] of manifest.expertLayers.entries()) {
    for (const { format, block } of experts) {
      const bytes = await store.readRange(manifest.objects[block.object]!.name, block);
      const { projections } = plan.expertLayers[l]!;
      const layout = expertLayout(projections, manifest.formats[format]!);
      const cut = Math.min(...layout.projections.map((p) => p.biasOffset));
      const end = layout.projections.at(-1)!.biasOffset + projections.at(-1)!.rows * 4;
      all.push({
        matrices: bytes.slice(0, cut).toHex(),
        biases: new Float32Array(bytes.slice(cut, end).buffer),
      });
    }
  }
  return all;
}

Deno.test("codes and scales are the packed model's, biases and the trunk the checkpoint's", async () => {
  using first = temporaryFolder();
  using second = temporaryFolder();
  using third = temporaryFolder();
  const packed = await packGolden("every_layer", new FileStore(first.path), trellis);
  const { checkpoint, plan } = await openGolden("every_layer");
  try {
    const expertsFrom = new PackedExperts(await openModel(first.path), plan);
    const options: PackOptions = { ...TEST_PACK, expertsFrom };
    const trained = changed(checkpoint, /^(?!.*experts.*weight)/, (x) => x + 0.25);
    const made = await packCheckpoint(trained, plan, new FileStore(second.path), options);
    const before = await expertsOf(first.path, plan, packed.manifest);
    const after = await expertsOf(second.path, plan, made.manifest);
    assertEquals(after.map((e) => e.matrices), before.map((e) => e.matrices));
    for (const [i, { biases }] of after.entries()) {
      assertEquals(biases, before[i]!.biases.map((b) => b + 0.25), `expert ${i}`);
    }
    assertEquals(
      made.sizes.find((s) => s.part === "experts"),
      packed.sizes.find((s) => s.part === "experts"),
    );
    const norm = (m: Manifest) => m.trunk.find((t) => t.name.endsWith("norm.weight"))!.blocks;
    assertNotEquals(norm(made.manifest)[0]!.sha256, norm(packed.manifest)[0]!.sha256);
    assertStringIncludes(made.manifest.provenance.quantizer, packed.manifestSha256.slice(0, 16));
    assertStringIncludes(made.manifest.provenance.quantizer, "2-bit trellis per channel rotated");

    const same = await packCheckpoint(checkpoint, plan, new FileStore(third.path), options);
    const objects = packed.manifest.objects.map((o) => o.name);
    assert(same.manifest.objects.every((o) => objects.includes(o.name)), "equal bytes again");
  } finally {
    checkpoint.weights.close();
  }
});

Deno.test("experts of another model are refused: by their shapes, by their places, by their weights", async () => {
  using folder = temporaryFolder();
  using out = temporaryFolder();
  await packGolden("every_layer", new FileStore(folder.path), trellis);
  const model = await openModel(folder.path);
  const { checkpoint, plan } = await openGolden("every_layer");
  try {
    const [one, ...more] = plan.expertLayers;
    const wide = one!.projections.map((p) => ({ ...p, cols: p.cols + 256 }));
    for (
      const layers of [more, [{ ...one!, layer: 7 }, ...more], [
        { ...one!, projections: wide },
        ...more,
      ]]
    ) {
      const other = { ...plan, expertLayers: layers };
      const refusal = assertThrows(() => new PackedExperts(model, other), MoqeError);
      assertEquals(refusal.code, "bad_input");
    }
    const expertsFrom = new PackedExperts(model, plan);
    const last = plan.expertLayers.at(-1)!;
    const { weight } = last.tensorNames(last.count - 1, last.projections.at(-1)!.name);
    const strange = changed(checkpoint, new RegExp(`^${weight}$`), (_, i) => Math.sin(i * i));
    const options: PackOptions = { ...TEST_PACK, expertsFrom };
    const refusal = await assertRejects(
      () => packCheckpoint(strange, plan, new FileStore(out.path), options),
      MoqeError,
      weight,
    );
    assertEquals(refusal.code, "bad_input");
    assert(![...Deno.readDirSync(out.path)].some((e) => e.name === "manifest.json"));
  } finally {
    checkpoint.weights.close();
  }
});

Deno.test("nothing may choose codes anew that are taken as they are", async () => {
  using folder = temporaryFolder();
  using out = temporaryFolder();
  await packGolden("every_layer", new FileStore(folder.path), trellis);
  const { checkpoint, plan } = await openGolden("every_layer");
  checkpoint.weights.close();
  const expertsFrom = new PackedExperts(await openModel(folder.path), plan);
  const wrong: [string, Partial<PackOptions>][] = [
    ["--expert-bytes", { expertBytes: 2 ** 20 }],
    ["--rounding gptq", { experts: { bits: 2, rounding: "gptq" } }],
    ["--part decoder.1.experts", { parts: { "decoder.1.experts": { bits: 4 } } }],
  ];
  for (const [flag, options] of wrong) {
    await assertRejects(
      () => packGolden("every_layer", new FileStore(out.path), { ...options, expertsFrom }),
      MoqeError,
      flag,
    );
  }
});

/** The bytes of each expert's matrices, of the layers that `which` says. */
async function layerBytes(
  folder: string,
  plan: ModelPlan,
  manifest: Manifest,
  which: (name: string) => boolean,
): Promise<string[]> {
  const all = await expertsOf(folder, plan, manifest), here: string[] = [];
  for (const layer of plan.expertLayers) {
    const experts = all.splice(0, layer.count);
    if (which(layerName(layer))) here.push(...experts.map((e) => e.matrices));
  }
  return here;
}

Deno.test("of some layers alone: the others are quantized as asked, by the layer or within a stated size", async () => {
  using folder = temporaryFolder();
  const place = (name: string) => `${folder.path}/${name}`;
  const packed = await packGolden("every_layer", new FileStore(place("first")), trellis);
  const { checkpoint, plan } = await openGolden("every_layer");
  writeCalibration(place("calibration"), plan);
  const calibration = await Calibration.open(place("calibration"), plan);
  try {
    const kept = new Set(["decoder.0", "encoder.1"]);
    const expertsFrom = new PackedExperts(await openModel(place("first")), plan, kept);
    const trained = changed(checkpoint, /experts.*weight/, (x) => 0.9 * x + 0.001);
    const pack = async (name: string, options: Partial<PackOptions>) => {
      const store = new FileStore(place(name)), all = { ...TEST_PACK, ...options };
      const { manifest, sizes } = await packCheckpoint(trained, plan, store, all);
      const matrices = (which: (layer: string) => boolean) =>
        layerBytes(place(name), plan, manifest, which);
      return {
        manifest,
        kept: await matrices((l) => kept.has(l)),
        others: await matrices((l) => !kept.has(l)),
        bytes: sizes.find((s) => s.part === "experts")!.packedBytes,
      };
    };
    const before = await layerBytes(place("first"), plan, packed.manifest, (l) => kept.has(l));
    const lloyd = { experts: { bits: 3, quantizer: "lloyd" } } as const;
    const part = { "decoder.1.experts": { bits: 4 } } as const;
    const all = await pack("all", { ...lloyd, parts: part });
    const some = await pack("some", { ...lloyd, parts: part, expertsFrom });
    assertEquals(some.kept, before);
    assertEquals(some.others, all.others);
    assertNotEquals(all.kept, before);
    const { quantizer } = some.manifest.provenance;
    assertStringIncludes(quantizer, "experts 3-bit lloyd");
    assertStringIncludes(quantizer, "experts of decoder.0, encoder.1 from tiny");

    const two = await pack("two", { ...trellis, calibration, expertsFrom });
    const expertBytes = Math.floor(1.3 * two.bytes);
    const mixed = await pack("mixed", { ...trellis, calibration, expertsFrom, expertBytes });
    assertEquals(mixed.kept, before);
    assert(two.bytes < mixed.bytes && mixed.bytes <= expertBytes, `${mixed.bytes} bytes`);
    await assertRejects(
      () => pack("small", { ...trellis, calibration, expertsFrom, expertBytes: two.bytes - 1 }),
      MoqeError,
      "--expert-bytes",
    );
    await assertRejects(
      () => pack("part", { expertsFrom, parts: { "decoder.0.experts": { bits: 4 } } }),
      MoqeError,
      "--part decoder.0.experts",
    );
  } finally {
    calibration.close();
    checkpoint.weights.close();
  }
});

Deno.test("kept layers that have no experts, and none at all, are refused", async () => {
  using folder = temporaryFolder();
  await packGolden("every_layer", new FileStore(folder.path), trellis);
  const model = await openModel(folder.path);
  const { checkpoint, plan } = await openGolden("every_layer");
  checkpoint.weights.close();
  for (const [layers, said] of [[["decoder.9", "encoder.0"], "decoder.9"], [[], "none"]] as const) {
    const refusal = assertThrows(
      () => new PackedExperts(model, plan, new Set(layers)),
      MoqeError,
      said,
    );
    assertEquals(refusal.code, "bad_input");
  }
});
