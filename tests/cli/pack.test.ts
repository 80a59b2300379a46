import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { moqe } from "./moqe.ts";

const CHECKPOINT = new URL("../goldens/nllb_moe/baseline", import.meta.url).pathname;
const PAIRS = ["--pairs", "en-de,eng_Latn-fra_Latn", "--licence", "CC0-1.0"];

/** A folder that is gone when the test is over. */
async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("pack, verify and plan go together, and verify finds a flipped bit", () =>
  inFolder(async (folder) => {
    const model = `${folder}/model`;
    const packed = await moqe(["pack", CHECKPOINT, model, ...PAIRS, "--name", "tiny"]);
    assertEquals([packed.code, packed.err], [0, ""]);
    assertMatch(packed.out, /^experts .* %$/m);
    const sha256 = /manifest sha256 ([0-9a-f]{64})/.exec(packed.out)![1]!;
    const manifest = JSON.parse(await Deno.readTextFile(`${model}/manifest.json`));
    assertEquals(manifest.pairs, ["eng_Latn-deu_Latn", "eng_Latn-fra_Latn"]);

    const whole = await moqe(["verify", model, "--manifest-sha256", sha256]);
    assertEquals(whole.code, 0);
    assertStringIncludes(whole.out, "tiny is whole");
    const other = await moqe(["verify", model, "--manifest-sha256", "0".repeat(64)]);
    assertEquals(other.code, 1);

    const plan = await moqe(["plan", model]);
    assertEquals(plan.code, 0);
    for (const line of ["trunk", "arena", "slots: ", "least --gpu-memory: "]) {
      assertStringIncludes(plan.out, line);
    }
    const small = await moqe(["plan", model, "--gpu-memory", "64KiB"]);
    assertEquals(small.code, 1);
    assertStringIncludes(small.err, "--gpu-memory");

    const again = await moqe(["pack", CHECKPOINT, model, ...PAIRS]);
    assertEquals(again.code, 2);
    assertStringIncludes(again.err, "there is a packed model already");

    const object = `${model}/${manifest.objects[0].name}`;
    const bytes = await Deno.readFile(object);
    bytes[17]! ^= 4;
    await Deno.writeFile(object, bytes);
    const damaged = await moqe(["verify", model]);
    assertEquals(damaged.code, 1);
    assertStringIncludes(damaged.err, `object ${manifest.objects[0].name} is damaged`);
  }));

Deno.test("equal packs have equal bytes", () =>
  inFolder(async (folder) => {
    const hashes: (string | undefined)[] = [];
    for (const out of ["a", "b"]) {
      const { out: text } = await moqe(["pack", CHECKPOINT, `${folder}/${out}`, ...PAIRS]);
      hashes.push(/sha256 (\w+)/.exec(text)?.[1]);
    }
    assertEquals([hashes[0]?.length, hashes[0]], [64, hashes[1]]);
  }));

Deno.test("pack takes experts from a packed model as they are", () =>
  inFolder(async (folder) => {
    const how = ["--quantizer", "trellis", "--rotate", "--group", "0"];
    const first = await moqe(["pack", CHECKPOINT, `${folder}/a`, ...PAIRS, ...how]);
    const from = ["--experts-from", `${folder}/a`];
    const second = await moqe(["pack", CHECKPOINT, `${folder}/b`, ...PAIRS, ...from]);
    assertEquals([first.code, second.code, second.err], [0, 0, ""]);
    const objects = async (model: string) => {
      const { objects } = JSON.parse(await Deno.readTextFile(`${folder}/${model}/manifest.json`));
      return objects.map((o: { name: string }) => o.name);
    };
    assertEquals(await objects("b"), await objects("a"));
    const alone = await moqe([
      "pack",
      CHECKPOINT,
      `${folder}/d`,
      ...PAIRS,
      "--kept-layers",
      "decoder.0",
    ]);
    assertEquals([alone.code, alone.err.includes("    at ")], [2, false]);
    assertStringIncludes(alone.err, "--experts-from");
    const nothing = await moqe([
      "pack",
      CHECKPOINT,
      `${folder}/c`,
      ...PAIRS,
      "--experts-from",
      folder,
    ]);
    assertEquals([nothing.code === 0, nothing.err.includes("    at ")], [false, false]);
    assertStringIncludes(nothing.err, "manifest.json");
  }));

Deno.test("pack says what a folder lacks that is no checkpoint", () =>
  inFolder(async (folder) => {
    const { code, err } = await moqe(["pack", folder, `${folder}/out`, ...PAIRS]);
    assertEquals([code === 0, err.includes("    at ")], [false, false]);
    assertStringIncludes(err, "config.json");
  }));

Deno.test("a pair that the tokenizer has no token for is refused before anything is written", () =>
  inFolder(async (folder) => {
    const model = `${folder}/model`;
    const { code, err } = await moqe([
      "pack",
      CHECKPOINT,
      model,
      "--licence",
      "MIT",
      "--pairs",
      "en-de,en-zu",
    ]);
    assertEquals(code, 2, err);
    assertStringIncludes(err, "no token for it");
    assertStringIncludes(err, "zul_Latn");
    assertEquals([...Deno.readDirSync(folder)], []);
    const twice = ["--pairs", "en-de,eng_Latn-deu_Latn", "--licence", "MIT"];
    assertEquals((await moqe(["pack", CHECKPOINT, model, ...twice])).code, 0);
    const { pairs } = JSON.parse(await Deno.readTextFile(`${model}/manifest.json`));
    assertEquals(pairs, ["eng_Latn-deu_Latn"]);
  }));

Deno.test("a tokenizer that is cut short or of another model is refused before anything is written", () =>
  inFolder(async (folder) => {
    const model = `${folder}/model`, copy = `${folder}/checkpoint`;
    await Deno.mkdir(copy);
    for (const { name } of Deno.readDirSync(CHECKPOINT)) {
      await Deno.copyFile(`${CHECKPOINT}/${name}`, `${copy}/${name}`);
    }
    const whole = await Deno.readTextFile(`${CHECKPOINT}/tokenizer.json`);
    const refused = async (tokenizer: string) => {
      await Deno.writeTextFile(`${copy}/tokenizer.json`, tokenizer);
      const { code, err } = await moqe(["pack", copy, model, ...PAIRS]);
      assertEquals([code === 0, err.includes("    at ")], [false, false], err);
      assertEquals([...Deno.readDirSync(folder)].map((e) => e.name), ["checkpoint"]);
      return err;
    };
    assertMatch(
      await refused(whole.slice(0, whole.length * 2 / 3)),
      /tokenizer\.json: it is no JSON/,
    );
    const { vocab_size } = JSON.parse(await Deno.readTextFile(`${copy}/config.json`));
    const tokenizer = JSON.parse(whole);
    tokenizer.added_tokens.at(-1).id = vocab_size;
    assertMatch(await refused(JSON.stringify(tokenizer)), new RegExp(`id ${vocab_size}, .* rows`));
    assertMatch(await refused('{"model": {}}'), /no vocabulary/);
  }));
