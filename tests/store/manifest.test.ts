/** Manifests that a kernel must never see: formats that do not hold together, and what only experts can be. */
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { FileStore } from "../../src/store/file_store.ts";
import { type Manifest, parseManifest } from "../../src/store/manifest.ts";
import { packGolden } from "../support/packed.ts";
import { temporaryFolder } from "../support/safetensors.ts";

/** A golden packed as a trellis. */
async function packed(): Promise<Manifest> {
  using folder = temporaryFolder();
  const experts = { bits: 2, quantizer: "trellis" } as const;
  return (await packGolden("every_layer", new FileStore(folder.path), { experts })).manifest;
}

/** What is said of a manifest that `change` has spoilt. */
function faultOf(manifest: Manifest, change: (m: Manifest, trellis: number) => void): string {
  const spoilt = structuredClone(manifest);
  change(spoilt, spoilt.formats.findIndex((f) => f.trellis));
  return assertThrows(() => parseManifest(JSON.stringify(spoilt), "here"), MoqeError).message;
}

Deno.test("formats that do not hold together are refused, and a trellis in the trunk", async () => {
  const manifest = await packed();
  assertEquals(parseManifest(JSON.stringify(manifest), "here"), manifest);
  const four = [-127, -40, 40, 127];
  const format = (change: object) =>
    faultOf(manifest, (m, at) => void (m.formats[at] = { ...m.formats[at]!, ...change }));
  for (const change of [{ bits: 3 }, { bits: 16 }, { zero: 1.5 }, { levels: four }]) {
    assertStringIncludes(format(change), "trellis", JSON.stringify(change));
  }
  assertStringIncludes(format({ trellis: false }), "formats");
  assertStringIncludes(format({ trellis: undefined, levels: [1, 0, 2, 3] }), "ascending");
  assertStringIncludes(format({ trellis: undefined, levels: [...four, 128] }), "levels");
  assertStringIncludes(format({ bits: 5 }), "bits");
  const trunk = faultOf(manifest, (m, at) => void (m.trunk[0]!.format = at));
  assertStringIncludes(trunk, `${manifest.trunk[0]!.name} is a trellis, which only experts can be`);
  const absent = faultOf(manifest, (m) => void (m.expertLayers[0]!.experts[0]!.format = 63));
  assertStringIncludes(absent, "names format 63, which is not listed");
});
