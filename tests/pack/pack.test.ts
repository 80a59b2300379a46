/** What a pack writes: every weight as its quantizer says, equal blocks once, the same bytes each time. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { expertLayout } from "../../src/base/layout.ts";
import type { StoredTensors } from "../../src/checkpoint/contract.ts";
import type { PackOptions } from "../../src/pack/options.ts";
import { encodeTrunk } from "../../src/pack/encode.ts";
import { packCheckpoint } from "../../src/pack/pack.ts";
import { RowReader } from "../../src/pack/row_reader.ts";
import { rowsAndCols } from "../../src/pack/sizes.ts";
import { resolveWidths, trunkItems } from "../../src/pack/widths.ts";
import { dequantize, quantizeMatrix, viewMatrix } from "../../src/quant/matrix.ts";
import { resolveWidth } from "../../src/quant/quantizers.ts";
import { FileStore } from "../../src/store/file_store.ts";
import type { BlockRef, Manifest } from "../../src/store/manifest.ts";
import { openModel } from "../../src/store/open.ts";
import { sha256 } from "../support/blocks.ts";
import { hostileStore } from "../support/hostile_store.ts";
import { TEST_PACK } from "../support/pack_options.ts";
import { contents, openGolden, packGolden } from "../support/packed.ts";
import { temporaryFolder } from "../support/safetensors.ts";

const WIDTHS: Partial<PackOptions>[] = [
  {},
  { experts: { bits: 2, group: 0 }, trunk: { bits: 8 }, embedding: { bits: 16 } },
  { experts: { bits: 2, quantizer: "moqe-linear-trunc" }, lmHead: { bits: 4 } },
  { experts: { bits: 4, group: 32 }, trunk: { bits: 16 }, embedding: { bits: 4, group: 128 } },
  { experts: { bits: 8 }, trunk: { bits: 32 }, embedding: { bits: 32 } },
  { experts: { bits: 16 }, trunk: { bits: 2 }, lmHead: { bits: 32 } },
  { experts: { bits: 3 }, trunk: { bits: 3 }, parts: { "encoder.attention": { bits: 2 } } },
  {
    experts: { bits: 3, quantizer: "lloyd", rotate: true },
    parts: { "decoder.experts": { bits: 4, quantizer: "moqe-log" }, dense_ffn: { bits: 4 } },
  },
  {
    experts: { bits: 2, quantizer: "trellis" },
    parts: { "decoder.experts": { bits: 2, quantizer: "trellis", group: 0, rotate: true } },
  },
];

/** The bytes of blocks in order, each held against its hash. */
async function bytesOf(store: FileStore, manifest: Manifest, blocks: BlockRef[]) {
  const parts: Uint8Array[] = [];
  for (const block of blocks) {
    assertEquals(block.offset % 256, 0);
    const bytes = await store.readRange(manifest.objects[block.object]!.name, block);
    assertEquals(sha256(bytes), block.sha256);
    parts.push(bytes);
  }
  return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
}

for (const [i, widths] of WIDTHS.entries()) {
  for (const name of ["every_layer", "lm_head"]) {
    Deno.test(`widths ${i} of ${name}: every tensor is there as its quantizer says`, async () => {
      using folder = temporaryFolder();
      const store = new FileStore(folder.path);
      const options = { ...TEST_PACK, ...widths };
      const { checkpoint: { weights }, plan } = await openGolden(name);
      const { manifest, sizes } = await packGolden(name, store, options);
      const recipes = resolveWidths(options), items = trunkItems(plan, recipes);
      const whole = async (tensor: string) => {
        const { rows, cols } = rowsAndCols(weights.tensors.get(tensor)!.shape);
        return { rows, cols, values: await weights.readRows(tensor, 0, rows) };
      };
      let trunkBytes = 0;
      for (const tensor of manifest.trunk) {
        const spec = plan.tensors.find((t) => t.name === tensor.name);
        const source = spec === undefined
          ? plan.tensors.find((t) => t.role === "embedding")!
          : spec;
        const { recipe } = items.find((i) => i.name === tensor.name)!;
        const { rows, cols, values } = await whole(source.name);
        const bytes = await bytesOf(store, manifest, tensor.blocks);
        trunkBytes += bytes.length;
        const expected = quantizeMatrix(values, rows, cols, recipe);
        const format = manifest.formats[tensor.format]!;
        assertEquals(format, { ...recipe.format });
        const offsets = { codesOffset: 0, scalesOffset: expected.layout.codesBytes };
        assertEquals(
          dequantize(viewMatrix(bytes, rows, cols, format, offsets)),
          dequantize(expected),
        );
      }
      for (const [l, spec] of plan.expertLayers.entries()) {
        const recipe = recipes.experts[spec.stack];
        const layout = expertLayout(spec.projections, recipe.format);
        for (const [e, expert] of manifest.expertLayers[l]!.experts.entries()) {
          assertEquals(manifest.formats[expert.format], { ...recipe.format });
          const bytes = await bytesOf(store, manifest, [expert.block]);
          assertEquals(bytes.length, layout.bytes);
          for (const [p, projection] of spec.projections.entries()) {
            const names = spec.tensorNames(e, projection.name);
            const { rows, cols, values } = await whole(names.weight);
            const at = layout.projections[p]!;
            const got = viewMatrix(bytes, rows, cols, recipe.format, at);
            const expected = quantizeMatrix(values, rows, cols, recipe);
            assertEquals(dequantize(got), dequantize(expected), names.weight);
            const bias = new Float32Array(bytes.buffer, at.biasOffset, rows);
            assertEquals(bias, (await whole(names.bias)).values);
          }
        }
      }
      const total = sizes.find((s) => s.part === "total")!;
      const experts = sizes.find((s) => s.part === "experts")!;
      assertEquals(
        total.packedBytes - experts.packedBytes,
        trunkBytes,
        "sizes are what is written",
      );
      weights.close();
    });
  }
}

Deno.test("a tied lm_head is written of its own only at another width", async () => {
  using folder = temporaryFolder();
  const store = new FileStore(folder.path);
  const names = async (options: Partial<PackOptions>) =>
    (await packGolden("baseline", store, options)).manifest.trunk.map((t) => t.name);
  assert(!(await names({})).includes("lm_head.weight"));
  assert(
    !(await names({ embedding: { bits: 8 }, lmHead: { bits: 8, group: 0 } })).includes(
      "lm_head.weight",
    ),
  );
  assertEquals((await names({ lmHead: { bits: 16 } })).at(-1), "lm_head.weight");
});

Deno.test("a pack is the same to the byte, from disk, in shards or over HTTP, and opens", async () => {
  using first = temporaryFolder();
  using second = temporaryFolder();
  const report = await packGolden("sharded", new FileStore(first.path));
  const served = Object.fromEntries(
    [...contents(new URL("../goldens/nllb_moe/sharded", import.meta.url).pathname)],
  ) as Record<string, Uint8Array<ArrayBuffer>>;
  const server = hostileStore(served, (n) => n % 7 === 3 ? { kind: "truncate" } : { kind: "none" });
  const { checkpoint, plan } = await openGolden("sharded", server.url);
  await packCheckpoint(checkpoint, plan, new FileStore(second.path), TEST_PACK);
  await server.close();
  assertEquals(contents(first.path), contents(second.path));
  assert(contents(first.path).size > 4);
  const opened = await openModel(first.path, { manifestSha256: report.manifestSha256 });
  assertEquals(opened.manifest, report.manifest);
  const text = new TextDecoder().decode(contents(first.path).get("manifest.json"));
  assert(!text.includes(first.path) && !/20\d\d-\d\d/.test(text), "no paths, no dates");
});

Deno.test("equal blocks are stored once", async () => {
  using folder = temporaryFolder();
  const { checkpoint, plan } = await openGolden("baseline");
  const spec = plan.expertLayers[0]!;
  // Expert 1 reads expert 0's weights.
  const twin = {
    ...spec,
    tensorNames: (e: number, p: string) => spec.tensorNames(e === 1 ? 0 : e, p),
  };
  const twins = { ...plan, expertLayers: [twin, ...plan.expertLayers.slice(1)] };
  const lost = new Set(spec.projections.flatMap((p) => Object.values(spec.tensorNames(1, p.name))));
  const tensors = new Map([...checkpoint.weights.tensors].filter(([n]) => !lost.has(n)));
  const weights = Object.create(checkpoint.weights, {
    tensors: { value: tensors },
  }) as StoredTensors;
  weights.readRows = (...args) => checkpoint.weights.readRows(...args);
  const store = new FileStore(folder.path);
  const { manifest } = await packCheckpoint({ ...checkpoint, weights }, twins, store, TEST_PACK);
  const [a, b, c] = manifest.expertLayers[0]!.experts;
  assertEquals(a, b);
  assert(c!.block.sha256 !== a!.block.sha256);
  checkpoint.weights.close();
});

Deno.test("scales too many to keep are computed again, to the same bytes", async () => {
  const { checkpoint: { weights }, plan } = await openGolden("baseline");
  const spec = plan.tensors.find((t) => t.role === "embedding")!;
  const item = { ...spec, source: spec.name, recipe: resolveWidth({ bits: 2, group: 32 }) };
  const blocks = async (maxKept: number) => {
    const made: Uint8Array[] = [];
    const reader = new RowReader(weights);
    for await (const block of encodeTrunk(reader, item, () => {}, maxKept)) made.push(block);
    return made;
  };
  assertEquals(await blocks(0), await blocks(2 ** 26));
  weights.close();
});

Deno.test("a weight that is NaN stops the pack with its tensor's name and no manifest", async () => {
  using folder = temporaryFolder();
  const { checkpoint, plan } = await openGolden("baseline");
  const bad = plan.expertLayers[0]!.tensorNames(1, "fc1").bias;
  const weights: StoredTensors = {
    origin: "here",
    identity: "",
    tensors: checkpoint.weights.tensors,
    readBytes: (...ask) => checkpoint.weights.readBytes(...ask),
    readRows: async (name, ...rest) => {
      const rows = await checkpoint.weights.readRows(name, ...rest);
      if (name === bad) rows[1] = NaN;
      return rows;
    },
    close: () => {},
  };
  const store = new FileStore(folder.path);
  const error = await assertRejects(
    () => packCheckpoint({ ...checkpoint, weights }, plan, store, TEST_PACK),
    MoqeError,
    bad,
  );
  assertEquals(error.code, "corrupt");
  assert(!await store.has("manifest.json"));
  checkpoint.weights.close();
});

Deno.test("progress ends at all bytes, and an abort stops the pack", async () => {
  using folder = temporaryFolder();
  const { checkpoint, plan } = await openGolden("baseline");
  const store = new FileStore(folder.path);
  let last = { doneBytes: 0, totalBytes: 1 };
  const onProgress = (p: typeof last) => {
    assert(p.doneBytes >= last.doneBytes);
    last = p;
  };
  await packCheckpoint(checkpoint, plan, store, { ...TEST_PACK, lmHead: { bits: 4 } }, onProgress);
  assertEquals(last.doneBytes, last.totalBytes);
  const signal = AbortSignal.abort();
  await assertRejects(() => packCheckpoint(checkpoint, plan, store, { ...TEST_PACK, signal }));
  checkpoint.weights.close();
});
