/** The models that ship: whole, small, described, and translating as transformers does with their very weights. */
import { assert, assertEquals } from "@std/assert";
import { loadTokenizer, type TextTokenizer } from "../../src/text/tokenizer.ts";
import { verifyModel } from "../../src/pack/verify.ts";
import { findLanguage } from "../../src/text/languages.ts";
import { FileStore } from "../../src/store/file_store.ts";
import { type Manifest, MANIFEST_NAME, parseManifest } from "../../src/store/manifest.ts";
import { type Agreement, agreement, type Shipped } from "../support/agreement.ts";
import { GOLDENS } from "../support/golden.ts";
import { withPacked } from "../support/model.ts";
import { testNeeding } from "../support/needs.ts";

const MODELS = new URL("../../models/", import.meta.url);
const MAX_BYTES = 28 * 2 ** 20;
/** An expert's at 2 bits and an f16 scale for each 64 weights, 256 -> 768 -> 256, with f32 biases. */
const MEAN_EXPERT_BYTES = 112 * 2 ** 10;

interface Golden extends Shipped {
  manifest_sha256: string;
  sentences: (Shipped["sentences"][number] & { pair: string; text_out: string })[];
}

/** A model under models/, with its goldens. */
interface ShippedModel {
  folder: URL;
  manifest: Manifest;
  manifestText: string;
  golden: Golden;
}

/** Every folder under models/ that has a manifest. */
function shippedModels(): ShippedModel[] {
  return [...Deno.readDirSync(MODELS)]
    .filter((e) => e.isDirectory)
    .map((e) => new URL(`${e.name}/`, MODELS))
    .filter((url) => [...Deno.readDirSync(url)].some((e) => e.name === MANIFEST_NAME))
    .map((folder) => {
      const manifestText = Deno.readTextFileSync(new URL(MANIFEST_NAME, folder));
      const manifest = parseManifest(manifestText, folder.pathname);
      const goldens = new URL(`shipped/${manifest.name}.json`, GOLDENS);
      const golden: Golden = JSON.parse(Deno.readTextFileSync(goldens));
      return { folder, manifest, manifestText, golden };
    });
}

async function readTokenizer({ folder, manifest }: ShippedModel): Promise<TextTokenizer> {
  const { object, offset, length } = manifest.tokenizer.block;
  const store = new FileStore(folder.pathname);
  const bytes = await store.readRange(manifest.objects[object]!.name, { offset, length });
  return loadTokenizer(JSON.parse(new TextDecoder().decode(bytes)), manifest.tokenizer.config);
}

const MODELS_SHIPPED = shippedModels();

Deno.test("what ships is known by its folders' names, and has no pair twice", () => {
  const names = MODELS_SHIPPED.map(({ folder }) => folder.pathname.split("/").at(-2));
  assertEquals(names, MODELS_SHIPPED.map(({ manifest }) => manifest.name));
  const pairs = MODELS_SHIPPED.flatMap(({ manifest }) => manifest.pairs);
  assertEquals(new Set(pairs).size, pairs.length);
});

for (const shipped of MODELS_SHIPPED) {
  const { folder, manifest, manifestText, golden } = shipped;
  const { name } = manifest;
  Deno.test(`${name} is whole: every block and object has its hash`, async () => {
    const report = await verifyModel(new FileStore(folder.pathname), manifest);
    assertEquals(report.faults, []);
    assert(report.blocks > manifest.trunk.length, "experts are blocks of their own");
  });

  Deno.test(`${name} is small, described, and nothing else lies in its folder`, () => {
    const files = [...Deno.readDirSync(folder)].map((e) => e.name).sort();
    const more = [MANIFEST_NAME, "README.md", "profiles.json"];
    const expected = [...manifest.objects.map((o) => o.name), ...more].sort();
    assertEquals(files, expected);
    const bytes = files.reduce((sum, name) => sum + Deno.statSync(new URL(name, folder)).size, 0);
    assert(bytes <= MAX_BYTES, `${bytes} bytes are more than ${MAX_BYTES}`);
    const card = Deno.readTextFileSync(new URL("README.md", folder));
    assert(card.includes(manifest.licence.id), `the card must say ${manifest.licence.id}`);
    const experts = manifest.expertLayers.flatMap((layer) => layer.experts);
    const expertBytes = experts.reduce((sum, e) => sum + e.block.length, 0);
    assert(expertBytes <= experts.length * MEAN_EXPERT_BYTES, "experts take the bytes of 2 bits");
  });

  Deno.test(`the goldens are of the manifest of ${name}, and its tokenizer gives their ids and texts`, async () => {
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(manifestText));
    assertEquals(
      golden.manifest_sha256,
      new Uint8Array(digest).toHex(),
      "they are of another packing: tests/goldens/README.md says how to remake them",
    );
    const text = await readTokenizer(shipped);
    for (const s of golden.sentences) {
      assertEquals(text.encodeSource(s.text, sourceOf(s)), s.source, s.text);
      assertEquals(text.decode(s.greedy), s.text_out);
    }
  });

  Deno.test(`${name} translates as transformers does with its weights`, async () => {
    const say = (name: string, a: Agreement) =>
      console.log(
        `${name}: ${a.equal} of ${a.sentences} equal, ${a.excused.length} at a close call, ` +
          `${a.faults.length} faults`,
      );
    // Rounded to f16 a key or value may move a logit by more than two close ones are apart; whole it may not.
    for (const [kvBits, least] of [[32, 98], [16, 95]] as const) {
      await withPacked(folder.pathname, manifest, async (m) => {
        const { greedy, beam } = await agreement(m, golden);
        say(`K/V in f${kvBits}, greedy`, greedy);
        say(`K/V in f${kvBits}, beam 4`, beam);
        assertEquals([...greedy.faults, ...beam.faults], []);
        assertEquals([greedy.sentences, beam.sentences], [100, 20]);
        assert(greedy.equal >= least, `only ${greedy.equal} of 100 are equal`);
      }, { gpuBytes: 128 * 2 ** 20, maxBatchTokens: 512, maxSourceTokens: 128, kvBits });
    }
  });

  testNeeding("vulkan")(`${name} gives the same tokens on a GPU`, async () => {
    // The first sentences by beam, a few more greedily: a software GPU takes seconds a sentence.
    const sentences = golden.sentences.slice(0, 8).map((s, i) => i < 2 ? s : without(s));
    await withPacked(folder.pathname, manifest, async (m) => {
      const { greedy, beam } = await agreement(m, { ...golden, sentences });
      assertEquals([...greedy.faults, ...beam.faults], []);
      assert(greedy.equal >= 7, `only ${greedy.equal} of 8 are equal`);
    }, {
      device: "webgpu",
      gpuBytes: 256 * 2 ** 20,
      maxBatchTokens: 128,
      maxSourceTokens: 64,
    });
  });
}

/** FLORES code of a golden sentence's source. */
function sourceOf({ pair }: Golden["sentences"][number]): string {
  return findLanguage(pair.split("-")[0]!)!.flores;
}

/** A sentence without its beam golden. */
function without({ beam: _, ...s }: Golden["sentences"][number]): Golden["sentences"][number] {
  return s;
}
