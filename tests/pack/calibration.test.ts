/** Packs by calibration: what the file keeps, what it does for outputs, what is refused. */
import {
  assert,
  assertEquals,
  assertLess,
  assertLessOrEqual,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import type { ModelPlan } from "../../src/base/plan.ts";
import { Calibration, CalibrationWriter } from "../../src/pack/calibration/file.ts";
import { climb } from "../../src/pack/mixed_widths.ts";
import type { PackOptions } from "../../src/pack/options.ts";
import { FileStore } from "../../src/store/file_store.ts";
import { seeded } from "../../tools/twin/packed.ts";
import { writeCalibration as write } from "../support/calibration.ts";
import { outputError } from "../support/output_error.ts";
import { randomWeights } from "../quant/random.ts";
import { contents, openGolden, packGolden } from "../support/packed.ts";
import { temporaryFolder } from "../support/safetensors.ts";

Deno.test("calibrated packs: the same bytes each time, and less output error step by step", async () => {
  using folder = temporaryFolder();
  const { checkpoint: { weights }, plan } = await openGolden("every_layer");
  const file = `${folder.path}/calibration`;
  write(file, plan);
  const calibration = await Calibration.open(file, plan);
  const pack = async (name: string, options: Partial<PackOptions>) => {
    const store = new FileStore(`${folder.path}/${name}`);
    const { manifest } = await packGolden("every_layer", store, options);
    return { store, manifest, error: await outputError(weights, plan, store, manifest) };
  };
  const plain = await pack("plain", { experts: { bits: 2 } });
  const weighed = await pack("weighed", { experts: { bits: 2 }, calibration });
  const gptq = { experts: { bits: 2, rounding: "gptq" }, calibration } as const;
  const fed = await pack("fed", gptq);
  assertLess(weighed.error, 0.8 * plain.error);
  assertLess(fed.error, 0.8 * weighed.error);
  const trellis = { ...gptq, experts: { ...gptq.experts, quantizer: "trellis" as const } };
  assertLess((await pack("trellis", trellis)).error, 0.9 * fed.error);
  await pack("again", gptq);
  assertEquals(contents(`${folder.path}/again`), contents(`${folder.path}/fed`));
  const rotated = await pack("rotated", {
    experts: { bits: 3, quantizer: "lloyd", rounding: "gptq", rotate: true },
    calibration,
  });
  assertLess(rotated.error, 0.5 * fed.error);
  assert(fed.manifest.provenance.quantizer.includes(calibration.sha256.slice(0, 16)));
  calibration.close();
  weights.close();
});

Deno.test("widths by sensitivity stay within the size and beat the same width for all", async () => {
  using folder = temporaryFolder();
  const { checkpoint: { weights }, plan } = await openGolden("every_layer");
  write(`${folder.path}/calibration`, plan);
  const calibration = await Calibration.open(`${folder.path}/calibration`, plan);
  const pack = async (name: string, options: Partial<PackOptions>) => {
    const store = new FileStore(`${folder.path}/${name}`);
    const { manifest, sizes } = await packGolden("every_layer", store, { calibration, ...options });
    const bytes = sizes.find((s) => s.part === "experts")!.packedBytes;
    return { manifest, bytes, error: await outputError(weights, plan, store, manifest) };
  };
  const two = await pack("two", { experts: { bits: 2 } });
  const four = await pack("four", { experts: { bits: 4 } });
  const expertBytes = Math.floor((two.bytes + four.bytes) / 2);
  await assertRejects(
    () => pack("both", { parts: { "decoder.experts": { bits: 8 } }, expertBytes }),
    MoqeError,
    "--part decoder.experts",
  );
  const mixed = await pack("mixed", { experts: { bits: 2 }, expertBytes });
  assertLessOrEqual(mixed.bytes, expertBytes);
  assertLess(mixed.error, two.error);
  const widths = new Set(
    mixed.manifest.expertLayers.flatMap((l) =>
      l.experts.map((e) => mixed.manifest.formats[e.format]!.bits)
    ),
  );
  assert(widths.size >= 2, `widths ${[...widths]}`);
  const few = await assertRejects(
    () => pack("few", { experts: { bits: 2 }, expertBytes: 1000 }),
    MoqeError,
    "--expert-bytes",
  );
  assertEquals(few.code, "bad_input");
  calibration.close();
  weights.close();
});

Deno.test("steps go where they take away most harm a byte", () => {
  const rungs = (harm: number[]) => ({ bytes: [100, 150, 200], harm, at: 0 });
  const all = [rungs([10, 9, 8]), rungs([100, 40, 30]), rungs([50, 49, 1])];
  climb(all, 300 + 150);
  assertEquals(all.map((r) => r.at), [0, 1, 2]);
  const none = [rungs([1, 1, 1])];
  climb(none, 1000);
  assertEquals(none[0]!.at, 0);
});

Deno.test("a calibration keeps a sample of rows with their squared shares", async () => {
  using folder = temporaryFolder();
  const { checkpoint: { weights }, plan } = await openGolden("every_layer");
  weights.close();
  const path = `${folder.path}/c`, writer = new CalibrationWriter(path, plan, 16);
  const { cols } = plan.expertLayers[1]!.projections[0]!, random = seeded(5);
  for (let n = 0; n < 1000; n++) writer.add(1, 2, new Float32Array(cols).fill(n), random());
  for (let n = 0; n < 5; n++) writer.add(1, 0, new Float32Array(cols).fill(n), 0.5);
  writer.finish();
  const calibration = await Calibration.open(path, plan);
  const few = calibration.samples(1, 0), many = calibration.samples(1, 2);
  assertEquals([few.count, many.count, calibration.samples(0, 0).count], [5, 16, 0]);
  assertEquals([...few.weights], [0.25, 0.25, 0.25, 0.25, 0.25]);
  assertEquals(few.x[3 * cols + 1], 3);
  assertEquals(calibration.samples(1, 2, 4).count, 4);
  const rows = Array.from({ length: 16 }, (_, r) => many.x[r * cols]!);
  assert(new Set(rows).size === 16 && rows.filter((n) => n >= 500).length >= 3, `${rows}`);
  calibration.close();
});

Deno.test("a calibration on a full disk says so", async () => {
  using folder = temporaryFolder();
  const { checkpoint: { weights }, plan } = await openGolden("every_layer");
  weights.close();
  const mounted = await new Deno.Command("mount", {
    args: ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder.path],
    stderr: "null",
  }).output().catch(() => undefined);
  if (!mounted?.success) return console.log("no right to mount here: nothing was tested");
  try {
    const writer = new CalibrationWriter(`${folder.path}/c`, plan, 4096);
    const { cols } = plan.expertLayers[0]!.projections[0]!;
    const error = assertThrows(
      () => {
        for (;;) writer.add(0, 0, new Float32Array(cols), 1);
      },
      MoqeError,
      "make room there",
    );
    assertEquals(error.code, "unavailable");
    writer.abandon();
  } finally {
    await new Deno.Command("umount", { args: [folder.path] }).output();
  }
});

Deno.test("a layer that saw one row, however often, can be packed: it has no variance", async () => {
  using folder = temporaryFolder();
  const { checkpoint: { weights }, plan } = await openGolden("every_layer");
  weights.close();
  for (const rows of [1, 3]) {
    const path = `${folder.path}/c${rows}`, writer = new CalibrationWriter(path, plan, 16);
    for (const [l, layer] of plan.expertLayers.entries()) {
      const x = randomWeights(layer.projections[0]!.cols, "gauss", l);
      for (let r = 0; r < rows; r++) writer.add(l, 0, x, 0.3 + r / 10);
    }
    writer.finish();
    const calibration = await Calibration.open(path, plan);
    const store = new FileStore(`${folder.path}/m${rows}`);
    for (const bits of [2, 4] as const) {
      await packGolden("every_layer", store, { experts: { bits, rounding: "gptq" }, calibration });
    }
    calibration.close();
  }
});

Deno.test("what is no calibration of this model is refused, and gptq without one", async () => {
  using folder = temporaryFolder({ text: "not one" });
  const { checkpoint: { weights }, plan } = await openGolden("every_layer");
  weights.close();
  const path = `${folder.path}/c`;
  write(path, plan);
  const refused = async (file: string, p: ModelPlan, text: string) => {
    const error = await assertRejects(() => Calibration.open(file, p), MoqeError, text);
    assertEquals(error.code, "bad_input");
  };
  await refused(`${folder.path}/none`, plan, "moqe calibrate");
  await refused(`${folder.path}/text`, plan, "whole");
  await refused(path, { ...plan, expertLayers: plan.expertLayers.slice(1) }, "of this model");
  const bytes = Deno.readFileSync(path);
  Deno.writeFileSync(`${folder.path}/cut`, bytes.subarray(0, bytes.length - 9));
  await refused(`${folder.path}/cut`, plan, "whole");
  const store = new FileStore(`${folder.path}/out`);
  const error = await assertRejects(
    () => packGolden("every_layer", store, { experts: { bits: 2, rounding: "gptq" } }),
    MoqeError,
    "--calibration",
  );
  assertEquals(error.code, "bad_input");
  assertThrows(() => Deno.statSync(`${folder.path}/out/manifest.json`));
});
