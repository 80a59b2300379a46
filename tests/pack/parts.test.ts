/** Packs of checkpoints that store tensors stacked, joined, transposed, in turns or as MXFP4. */
import { assert, assertEquals, assertLess, assertRejects, assertThrows } from "@std/assert";
import { architectureOf } from "../../src/arch/registry.ts";
import { MoqeError } from "../../src/base/errors.ts";
import { expertLayout } from "../../src/base/layout.ts";
import { type ModelPlan, plannedTensors } from "../../src/base/plan.ts";
import { asMatrix } from "../../src/checkpoint/contract.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { asPlanned } from "../../src/checkpoint/parts.ts";
import { packWidths } from "../../src/cli/widths.ts";
import { Calibration } from "../../src/pack/calibration/file.ts";
import { JOURNAL_NAME, journalAt } from "../../src/pack/journal.ts";
import type { PackOptions } from "../../src/pack/options.ts";
import { packCheckpoint } from "../../src/pack/pack.ts";
import { PackedExperts } from "../../src/pack/packed_experts.ts";
import type { PackProgress } from "../../src/pack/progress.ts";
import { planSizes } from "../../src/pack/sizes.ts";
import { dequantize, quantizeMatrix, viewMatrix } from "../../src/quant/matrix.ts";
import { resolveWidth } from "../../src/quant/quantizers.ts";
import { FileStore } from "../../src/store/file_store.ts";
import type { Manifest } from "../../src/store/manifest.ts";
import { openModel } from "../../src/store/open.ts";
import { writeCalibration } from "../support/calibration.ts";
import { GOLDENS } from "../support/golden.ts";
import { TEST_PACK } from "../support/pack_options.ts";
import { contents } from "../support/packed.ts";
import { partsFiles, type PartsModel, partsModel } from "../support/parts_model.ts";
import { temporaryFolder } from "../support/safetensors.ts";

const WHOLE = { experts: { bits: 32 }, trunk: { bits: 32 }, embedding: { bits: 32 } } as const;
/** Experts of the last layer as they are stored. */
const AS_STORED = { "decoder.3.experts": { bits: 4, quantizer: "mxfp4" } } as const;

/** Packs the made-up model into a store. */
async function pack(
  model: PartsModel,
  store: FileStore,
  options: Partial<PackOptions> = {},
  { isSharded = false, onProgress = (_: PackProgress) => {} } = {},
) {
  using folder = temporaryFolder(partsFiles(model.tensors, isSharded));
  // The files' times are part of what a pack goes on by.
  for (const { name } of Deno.readDirSync(folder.path)) {
    Deno.utimeSync(`${folder.path}/${name}`, 1, 1);
  }
  const checkpoint = await openCheckpoint(folder.path);
  try {
    const all = { ...TEST_PACK, objectBytes: 4096, ...options };
    return await packCheckpoint(checkpoint, model.plan, store, all, onProgress);
  } finally {
    checkpoint.weights.close();
  }
}

/** Every matrix and bias of a packed model's experts, decoded, by planned name. */
async function expertsOf(store: FileStore, plan: ModelPlan, manifest: Manifest) {
  const found = new Map<string, Float32Array>();
  for (const [l, layer] of plan.expertLayers.entries()) {
    for (const [e, { format: f, block }] of manifest.expertLayers[l]!.experts.entries()) {
      const bytes = await store.readRange(manifest.objects[block.object]!.name, block);
      const format = manifest.formats[f]!, layout = expertLayout(layer.projections, format);
      for (const [p, { name, rows, cols, bias }] of layer.projections.entries()) {
        const names = layer.tensorNames(e, name), at = layout.projections[p]!;
        found.set(names.weight, dequantize(viewMatrix(bytes, rows, cols, format, at)));
        if (bias) found.set(names.bias, new Float32Array(bytes.buffer, at.biasOffset, rows));
      }
    }
  }
  return found;
}

Deno.test("at full width every weight is there; at 2 bits it is as its quantizer says", async () => {
  const model = partsModel(), { plan, dense } = model;
  for (const [isSharded, bits] of [[false, 32], [true, 32], [true, 2]] as const) {
    using out = temporaryFolder();
    const store = new FileStore(out.path), experts = { bits }, recipe = resolveWidth(experts);
    let last: PackProgress | undefined;
    const onProgress = (p: PackProgress) => last = p;
    const report = await pack(model, store, { ...WHOLE, experts }, { isSharded, onProgress });
    assertEquals(report.leftOut.map((l) => [l.prefix, l.tensors]), [["mtp.", 2]]);
    assertEquals(last!.doneBytes, last!.totalBytes);
    const got = await expertsOf(store, plan, report.manifest);
    for (const t of report.manifest.trunk) {
      const bytes = await store.readRange(report.manifest.objects[0]!.name, t.blocks[0]!);
      const [rows, cols] = t.shape.length === 1 ? [1, t.shape[0]!] : t.shape as [number, number];
      const whole = viewMatrix(bytes, rows, cols, resolveWidth({ bits: 32 }).format, {
        codesOffset: 0,
        scalesOffset: bytes.length,
      });
      got.set(t.name, dequantize(whole));
    }
    for (const planned of plannedTensors(plan)) {
      const { name, shape } = planned, exact = dense(planned);
      const isCoded = shape.length === 2 && /^\d/.test(name);
      const due = isCoded ? dequantize(quantizeMatrix(exact, shape[0]!, shape[1]!, recipe)) : exact;
      assertEquals([name, got.get(name)], [name, due]);
    }
  }
});

Deno.test("MXFP4 kept as it is stored decodes to the checkpoint's bits, in 4 of them", async () => {
  const model = partsModel(), { plan, dense } = model;
  using out = temporaryFolder();
  const store = new FileStore(out.path);
  const { manifest, sizes } = await pack(model, store, { parts: AS_STORED });
  const got = await expertsOf(store, plan, manifest);
  for (const planned of plannedTensors(plan)) {
    if (!planned.name.startsWith("3.")) continue;
    const bits = (x: Float32Array) => new Uint32Array(x.slice().buffer);
    assertEquals(bits(got.get(planned.name)!), bits(dense(planned)), planned.name);
  }
  const { experts } = manifest.expertLayers[3]!;
  const format = manifest.formats[experts[0]!.format]!;
  assertEquals([format.bits, format.group, format.levels!.length], [4, 32, 16]);
  assert(manifest.provenance.quantizer.includes("decoder 3 experts 4-bit mxfp4 group 32"));
  const written = manifest.expertLayers.flatMap((l) => l.experts.map((e) => e.block.length));
  const counted = sizes.find((s) => s.part === "experts")!.packedBytes;
  assertEquals(written.reduce((a, b) => a + b, 0), counted);
  await openModel(out.path);
});

Deno.test("MXFP4 is kept where it is stored alone, and within f16's range", async () => {
  using out = temporaryFolder();
  const store = new FileStore(out.path), experts = { bits: 4, quantizer: "mxfp4" } as const;
  const all = await assertRejects(() => pack(partsModel(), store, { experts }), MoqeError);
  assertEquals([all.code, all.message.includes("decoder.0")], ["bad_input", true]);
  const trunk = await assertRejects(() => pack(partsModel(), store, { trunk: experts }), MoqeError);
  assertEquals([trunk.code, trunk.message.includes("only experts")], ["bad_input", true]);
  const far = () => pack(partsModel([90, 10]), store, { parts: AS_STORED });
  const range = await assertRejects(far, MoqeError);
  assertEquals([range.code, range.message.includes("3.0.in")], ["unsupported", true]);
  const broken = () => pack(partsModel([255, 1]), store, { parts: AS_STORED });
  assertEquals((await assertRejects(broken, MoqeError, "3.0.in")).code, "corrupt");
  assert(!await store.has("manifest.json"));
});

Deno.test("experts that are stored as MXFP4 stay so unless another width is asked for", () => {
  const { plan } = partsModel(), stored = { expertLayers: plan.expertLayers.slice(3) };
  const flags = {
    experts: undefined,
    quantizer: undefined,
    rounding: undefined,
    group: undefined,
    rotate: false,
    trunk: "8bit",
    embedding: "8bit",
    part: [] as string[],
    lmHead: undefined,
  } as const;
  const experts = (more: object, of: Pick<ModelPlan, "expertLayers"> = stored) =>
    resolveWidth(packWidths({ ...flags, ...more } as never, of).experts);
  assertEquals(experts({}).quantizer, "mxfp4");
  assertEquals(experts({ experts: "mxfp4" }).quantizer, "mxfp4");
  assertEquals(experts({ part: ["attention=4bit"] }).quantizer, "mxfp4");
  assertEquals([experts({ experts: "2bit" }), experts({}, plan)].map((r) => r.format.bits), [2, 2]);
  assertEquals(experts({ quantizer: "lloyd" }).format.bits, 2);
  assertEquals(experts({ rounding: "gptq" }).format.bits, 2);
  assertThrows(() => experts({ experts: "mxfp4", quantizer: "lloyd" }), MoqeError, "--quantizer");
  assertThrows(() => experts({ experts: "mxfp4", rotate: true }), MoqeError, "rotated");
  const { parts } = packWidths({ ...flags, part: ["decoder.3.experts=mxfp4"] } as never, plan);
  assertEquals(parts!["decoder.3.experts"], { bits: 4, quantizer: "mxfp4" });
  const sizes = planSizes({ ...plan, ...stored }, {
    ...TEST_PACK,
    experts: { bits: 4, quantizer: "mxfp4" },
  });
  assert(sizes.find((s) => s.part === "experts")!.packedBytes > 0);
});

for (const name of ["mxfp4", "mxfp4_wide"]) {
  Deno.test(`gpt-oss as it is published, ${name}: packed without a word of widths, nothing is lost`, async () => {
    using out = temporaryFolder();
    const files = contents(new URL(`gpt_oss/${name}`, GOLDENS).pathname);
    using folder = temporaryFolder(
      { ...Object.fromEntries(files), "tokenizer.json": "{}" } as never,
    );
    const checkpoint = await openCheckpoint(folder.path);
    const { plan } = architectureOf(checkpoint.texts.config).read(checkpoint.texts.config);
    const flags = { trunk: "8bit", embedding: "8bit", part: [] } as never;
    const options = { ...TEST_PACK, ...packWidths(flags, plan) }, store = new FileStore(out.path);
    const { manifest } = await packCheckpoint(checkpoint, plan, store, options);
    const view = asPlanned(checkpoint.weights, plan), got = await expertsOf(store, plan, manifest);
    assertEquals(got.size, 2 * 4 * 4);
    for (const [tensor, values] of got) {
      const { rows } = asMatrix(view.tensors.get(tensor)!.shape);
      assertEquals([tensor, values], [tensor, await view.readRows(tensor, 0, rows)]);
    }
    assertEquals(manifest.formats.some((f) => f.bits === 4 && f.levels?.[0] === -12), true);
    checkpoint.weights.close();
  });
}

/** A store that fails at its n-th write. */
class FailingStore extends FileStore {
  constructor(folder: string, public left: number) {
    super(folder);
  }

  override write(name: string, bytes: AsyncIterable<Uint8Array>): Promise<string> {
    if (this.left-- === 0) return Promise.reject(new Error("pulled the plug"));
    return super.write(name, bytes);
  }
}

Deno.test("interrupted at any write, a pack of parts ends with the same bytes", async () => {
  const model = partsModel(), options = { parts: AS_STORED };
  using whole = temporaryFolder();
  await pack(model, new FileStore(whole.path), options);
  const due = contents(whole.path);
  assert(due.size > 4);
  for (let writes = 1; writes < due.size; writes++) {
    using folder = temporaryFolder();
    using files = temporaryFolder(partsFiles(model.tensors, true));
    const journal = journalAt(`${folder.path}/${JOURNAL_NAME}`);
    const run = async (store: FileStore) => {
      const checkpoint = await openCheckpoint(files.path);
      const all = { ...TEST_PACK, objectBytes: 4096, ...options, journal };
      return await packCheckpoint(checkpoint, model.plan, store, all)
        .finally(() => checkpoint.weights.close());
    };
    await assertRejects(() => run(new FailingStore(folder.path, writes)), Error, "plug");
    const { resumedBlocks } = await run(new FileStore(folder.path));
    assert(resumedBlocks > 0);
    assertEquals(contents(folder.path), due);
  }
});

Deno.test("experts are taken from a packed model, with the checkpoint's biases", async () => {
  const model = partsModel(), { plan } = model;
  using first = temporaryFolder();
  using second = temporaryFolder();
  await pack(model, new FileStore(first.path), { parts: AS_STORED });
  const expertsFrom = new PackedExperts(await openModel(first.path), plan);
  const { manifest } = await pack(model, new FileStore(second.path), { expertsFrom });
  const [was, is] = await Promise.all([first, second].map(async ({ path }) => {
    const { manifest } = await openModel(path);
    return manifest.expertLayers.map((l) => l.experts.map((e) => e.block.sha256));
  }));
  assertEquals(is, was);
  assert(manifest.provenance.quantizer.includes("mxfp4"));
});

Deno.test("gated experts: errors weighed by inputs, fed back and by sensitivity", async () => {
  const model = partsModel(), { plan } = model;
  using folder = temporaryFolder();
  const file = `${folder.path}/calibration`;
  writeCalibration(file, plan);
  const calibration = await Calibration.open(file, plan);
  const error = async (name: string, options: Partial<PackOptions>) => {
    const store = new FileStore(`${folder.path}/${name}`);
    const { manifest } = await pack(model, store, options);
    return await gatedError(model, calibration, await expertsOf(store, plan, manifest));
  };
  const plain = await error("plain", { experts: { bits: 3, group: 0 } });
  const weighed = await error("weighed", { experts: { bits: 3, group: 0 }, calibration });
  const fed = await error("fed", {
    experts: { bits: 3, group: 0, rounding: "gptq" },
    calibration,
  });
  assertLess(weighed, plain);
  assertLess(fed, 0.8 * weighed);
  const two = await error("two", { experts: { bits: 2 }, calibration });
  const mixed = await error("mixed", { experts: { bits: 2 }, calibration, expertBytes: 80_000 });
  assertLess(mixed, two);
  const ungated = {
    ...plan,
    expertLayers: plan.expertLayers.map((l) => ({ ...l, activation: undefined })),
  };
  const refused = await assertRejects(
    () => pack({ ...model, plan: ungated }, new FileStore(`${folder.path}/x`), { calibration }),
    MoqeError,
    "a relu between them",
  );
  assertEquals(refused.code, "unsupported");
  calibration.close();
});

/** Squared error of all experts' outputs on their calibration's own inputs, each layer's over its exact outputs' power. */
function gatedError(
  { plan, dense }: PartsModel,
  calibration: Calibration,
  packed: ReadonlyMap<string, Float32Array>,
): number {
  const exact = new Map([...plannedTensors(plan)].map((t) => [t.name, dense(t)]));
  let total = 0;
  for (const [l, layer] of plan.expertLayers.entries()) {
    const { cols: d } = layer.projections[0]!, { cols: ff } = layer.projections[1]!;
    let error = 0, power = 0;
    for (let e = 0; e < layer.count; e++) {
      const output = (of: ReadonlyMap<string, Float32Array>, x: Float32Array) => {
        const [one, two] = layer.projections.map((p) => layer.tensorNames(e, p.name));
        const row = (name: string, r: number, x: ArrayLike<number>) => {
          const w = of.get(name)!, b = of.get(`${name}.bias`)?.[r] ?? 0;
          return Array.from(x).reduce((sum, v, c) => sum + v * w[r * x.length + c]!, b);
        };
        const hidden = Array.from({ length: ff }, (_, i) => {
          const gate = row(one!.weight, i, x);
          return gate / (1 + Math.exp(-gate)) * row(one!.weight, ff + i, x);
        });
        return Array.from({ length: d }, (_, r) => row(two!.weight, r, hidden));
      };
      const { x, count } = calibration.samples(l, e);
      for (let r = 0; r < count; r++) {
        const input = x.subarray(r * d, (r + 1) * d);
        const due = output(exact, input), got = output(packed, input);
        due.forEach((v, i) => {
          error += (v - got[i]!) ** 2;
          power += v * v;
        });
      }
    }
    total += error / power;
  }
  return total;
}
