/** Packs of experts that are added to bases: together they are what the checkpoint says, whatever codes the bases have. */
import {
  assert,
  assertEquals,
  assertLess,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { Calibration } from "../../src/pack/calibration/file.ts";
import type { PackOptions } from "../../src/pack/options.ts";
import { PackedExperts } from "../../src/pack/packed_experts.ts";
import { FileStore } from "../../src/store/file_store.ts";
import { openModel } from "../../src/store/open.ts";
import { writeCalibration } from "../support/calibration.ts";
import { outputError } from "../support/output_error.ts";
import { openGolden, packGolden } from "../support/packed.ts";
import { temporaryFolder } from "../support/safetensors.ts";

/** Packs the tiny checkpoint with bases into folders of one that goes away, and measures what that does. */
async function packer() {
  const folder = temporaryFolder();
  const { checkpoint: { weights }, plan } = await openGolden("bases");
  const pack = async (name: string, options: Partial<PackOptions>) => {
    const store = new FileStore(`${folder.path}/${name}`);
    const { manifest, sizes } = await packGolden("bases", store, options);
    const bytes = sizes.find((s) => s.part === "experts")!.packedBytes;
    return { manifest, bytes, error: await outputError(weights, plan, store, manifest) };
  };
  return {
    folder,
    plan,
    pack,
    [Symbol.dispose]() {
      weights.close();
      folder[Symbol.dispose]();
    },
  };
}

Deno.test("experts take up what their bases lose by their codes", async () => {
  using p = await packer();
  const exact = await p.pack("exact", { experts: { bits: 16 }, trunk: { bits: 16 } });
  const coarse = await p.pack("coarse", { experts: { bits: 16 }, trunk: { bits: 4 } });
  const both = await p.pack("both", { experts: { bits: 2 }, trunk: { bits: 16 } });
  assertEquals(exact.error, 0);
  assertLess(coarse.error, 1e-4 * both.error);
  const bases = coarse.manifest.trunk.filter((t) => t.name.includes(".bases."));
  assertEquals(bases.length, 2 * 2 * p.plan.expertLayers.length);
  assert(bases.every((t) => coarse.manifest.formats[t.format]!.bits === 4));
});

Deno.test("calibration and widths by sensitivity see experts with their bases", async () => {
  using p = await packer();
  const file = `${p.folder.path}/calibration`;
  writeCalibration(file, p.plan);
  const calibration = await Calibration.open(file, p.plan), trunk = { bits: 4 } as const;
  const plain = await p.pack("plain", { experts: { bits: 2 }, trunk });
  const weighed = await p.pack("weighed", { experts: { bits: 2 }, trunk, calibration });
  const gptq = { bits: 2, rounding: "gptq" } as const;
  const fed = await p.pack("fed", { experts: gptq, trunk, calibration });
  assertLess(weighed.error, 0.8 * plain.error);
  assertLess(fed.error, 0.8 * weighed.error);
  const four = await p.pack("four", { experts: { bits: 4 }, trunk, calibration });
  const expertBytes = Math.floor((weighed.bytes + four.bytes) / 2);
  const mixed = await p.pack("mixed", { experts: { bits: 2 }, trunk, calibration, expertBytes });
  assertLess(mixed.error, weighed.error);
  calibration.close();
});

Deno.test("experts taken from a packed model keep their codes beside the same bases", async () => {
  using p = await packer();
  const first = await p.pack("first", { experts: { bits: 2 }, trunk: { bits: 4 } });
  const model = await openModel(`${p.folder.path}/first`);
  const experts = { bits: 2 } as const, trunk = { bits: 4 } as const;
  const expertsFrom = new PackedExperts(model, p.plan);
  const again = await p.pack("again", { experts, trunk, embedding: { bits: 4 }, expertsFrom });
  const blocks = (m: typeof first) =>
    m.manifest.expertLayers.flatMap((l) => l.experts.map((e) => e.block.sha256));
  assertEquals(blocks(again), blocks(first));
  assertEquals(again.error, first.error);
});

Deno.test("experts taken from a packed model are refused beside bases in other codes, or none", async () => {
  using p = await packer();
  const experts = { bits: 2 } as const;
  await p.pack("first", { experts, trunk: { bits: 4 } });
  const expertsFrom = new PackedExperts(await openModel(`${p.folder.path}/first`), p.plan);
  const refusal = async (options: Partial<PackOptions>) =>
    (await assertRejects(() => p.pack("again", { expertsFrom, ...options }), MoqeError)).message;
  const wider = await refusal({ trunk: { bits: 8 } });
  for (const part of ["ffn.bases.base_0.fc1", "is 4 bits", "8 bits", "--part dense_ffn"]) {
    assertStringIncludes(wider, part);
  }
  assertStringIncludes(await refusal({ trunk: { bits: 4, group: 0 } }), "a scale a row");
  assertStringIncludes(await refusal({ trunk: { bits: 16 } }), "f16");
  // The same experts whole, as what they would be without bases: sizes agree, bytes would be wrong.
  const { manifest } = expertsFrom.model;
  const trunk = manifest.trunk.filter((t) => !t.name.includes(".bases."));
  const whole = { ...expertsFrom.model, manifest: { ...manifest, trunk } };
  const none = new PackedExperts(whole, p.plan);
  assertStringIncludes(await refusal({ trunk: { bits: 4 }, expertsFrom: none }), "is absent there");
  const bare = {
    ...p.plan,
    tensors: p.plan.tensors.filter((t) => !t.name.includes(".bases.")),
    expertLayers: p.plan.expertLayers.map((l) => ({ ...l, bases: undefined })),
  };
  const onBases = new PackedExperts(expertsFrom.model, bare);
  assertStringIncludes(
    assertThrows(() => onBases.checkBases([]), MoqeError).message,
    "absent",
  );
});
