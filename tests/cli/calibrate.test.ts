/** moqe calibrate and pack --calibration as a person runs them. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { temporaryFolder } from "../support/safetensors.ts";
import { moqe } from "./moqe.ts";

const CHECKPOINT = new URL("../goldens/nllb_moe/every_layer", import.meta.url).pathname;
const DENSE = new URL("../goldens/m2m_100/baseline", import.meta.url).pathname;
const SMALL = ["--threads", "1", "--max-source-tokens", "32", "--max-batch-tokens", "64"];
const PAIRS = ["--pairs", "en-de"];

Deno.test("calibrate samples a checkpoint's experts, alike each time, and pack goes by it", async () => {
  const texts = Array.from({ length: 12 }, (_, i) => `A sentence of number ${i}\tEin Satz`);
  using folder = temporaryFolder({ texts: `${texts.join("\n")}\n\n` });
  const run = (output: string) =>
    moqe([
      "calibrate",
      CHECKPOINT,
      `${folder.path}/texts`,
      ...PAIRS,
      ...SMALL,
      "--samples",
      "32",
      "--output",
      `${folder.path}/${output}`,
    ]);
  const { code, out, err } = await run("one");
  assertEquals([code, err], [0, ""]);
  assertMatch(out, /12 texts, 16 experts; \d+ saw fewer than 32 rows/);
  await run("two");
  const one = Deno.readFileSync(`${folder.path}/one`);
  assertEquals(Deno.readFileSync(`${folder.path}/two`), one);

  const packed = await moqe([
    "pack",
    CHECKPOINT,
    `${folder.path}/model`,
    ...PAIRS,
    "--licence",
    "MIT",
    "--calibration",
    `${folder.path}/one`,
    "--rounding",
    "gptq",
    "--rotate",
    "--quantizer",
    "lloyd",
    "--part",
    "encoder.attention=4bit",
  ]);
  assertEquals([packed.code, packed.err], [0, ""]);
  const manifest = JSON.parse(Deno.readTextFileSync(`${folder.path}/model/manifest.json`));
  assertStringIncludes(manifest.provenance.quantizer, "2-bit lloyd group 64 gptq rotated");
  assertStringIncludes(manifest.provenance.quantizer, "encoder attention 4-bit");
  const format = manifest.formats[manifest.expertLayers[0].experts[0].format];
  assertEquals([format.rotated, format.levels.length], [true, 4]);
  const verified = await moqe(["verify", `${folder.path}/model`]);
  assertEquals(verified.code, 0);
});

Deno.test("calibrate says what it lacks", async () => {
  using folder = temporaryFolder({ empty: "\n \n", texts: "Hello" });
  const empty = await moqe(["calibrate", CHECKPOINT, `${folder.path}/empty`, ...PAIRS]);
  assertEquals(empty.code, 2);
  assertStringIncludes(empty.err, "no line with text");
  const none = await moqe(["calibrate", CHECKPOINT, `${folder.path}/texts`]);
  assertEquals(none.code, 2);
  assert(none.err.includes("--pairs is needed"), none.err);
  const dense = await moqe(["calibrate", DENSE, `${folder.path}/texts`, ...PAIRS, ...SMALL]);
  assertEquals(dense.code, 1);
  assertStringIncludes(dense.err, "a dense model has no experts");
});

Deno.test("texts that the queue has no room for together are asked for apart", async () => {
  const text = "A sentence. Another one. And a third.";
  using folder = temporaryFolder({ texts: `${text}\n`.repeat(8) });
  const output = `${folder.path}/out`;
  const args = ["calibrate", CHECKPOINT, `${folder.path}/texts`, ...SMALL, "--output", output];
  const { code, out, err } = await moqe([...args, ...PAIRS, "--max-queue", "8"]);
  assertEquals([code, err], [0, ""]);
  assertStringIncludes(out, "8 texts, 16 experts");
});

Deno.test("a calibration that fails leaves the one that was there", async () => {
  using folder = temporaryFolder({ texts: "A sentence.\n", old: "of another run" });
  const output = `${folder.path}/old`;
  const args = ["calibrate", CHECKPOINT, `${folder.path}/texts`, ...SMALL, "--output", output];
  const { code, err } = await moqe([...args, ...PAIRS, "--manifest-sha256", "0".repeat(64)]);
  assert(code !== 0, err);
  assertEquals(Deno.readTextFileSync(output), "of another run");
  assertEquals([...Deno.readDirSync(folder.path)].map((e) => e.name).sort(), ["old", "texts"]);
});
