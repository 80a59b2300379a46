/** Verifying a model finds every flipped bit, and says where. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { verifyModel } from "../../src/pack/verify.ts";
import { FileStore } from "../../src/store/file_store.ts";
import { packGolden } from "../support/packed.ts";
import { temporaryFolder } from "../support/safetensors.ts";

Deno.test("a whole model has no faults, and every byte is read", async () => {
  using folder = temporaryFolder();
  const store = new FileStore(folder.path);
  const { manifest } = await packGolden("every_layer", store);
  let last = { doneBytes: 0, totalBytes: 1 };
  const report = await verifyModel(store, manifest, (p) => last = p);
  assertEquals(report.faults, []);
  assertEquals(report.objects, manifest.objects.length);
  assert(report.blocks > 20);
  assertEquals([last.doneBytes, last.totalBytes], [report.bytes, report.bytes]);
});

Deno.test("flipped bits, missing and short objects are each found", async () => {
  using folder = temporaryFolder();
  const store = new FileStore(folder.path);
  const { manifest } = await packGolden("every_layer", store);
  const block = manifest.expertLayers[1]!.experts[1]!.block;
  const path = (i: number) => `${folder.path}/${manifest.objects[i]!.name}`;
  const bytes = Deno.readFileSync(path(block.object));
  bytes[block.offset + 100]! ^= 1;
  Deno.writeFileSync(path(block.object), bytes);
  const { faults } = await verifyModel(store, manifest);
  assertEquals(faults.length, 2);
  assertStringIncludes(faults[0]!, `at ${block.offset} of ${manifest.objects[block.object]!.name}`);
  assertStringIncludes(faults[1]!, "object");
  Deno.removeSync(path(0));
  Deno.truncateSync(path(1), 10);
  const more = (await verifyModel(store, manifest)).faults;
  assertEquals(more.length, 4);
  await assertRejects(() => verifyModel(store, manifest, () => {}, AbortSignal.abort()));
});
