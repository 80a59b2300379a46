/** pack --order-by and reorder as a person runs them. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { synthesize } from "../../tools/replay/synthesize.ts";
import { writeTrace } from "../../src/experts/trace.ts";
import { nllbMoe } from "../../src/arch/nllb_moe.ts";
import { goldenFolder } from "../support/golden.ts";
import { temporaryFolder } from "../support/safetensors.ts";
import { moqe } from "./moqe.ts";

const CHECKPOINT = goldenFolder("baseline");
const PAIRS = ["--pairs", "en-de", "--licence", "CC0-1.0"];

/** A made-up trace of the checkpoint's shape, or of one with more experts. */
async function traceAt(path: string, more = 0): Promise<void> {
  const config = JSON.parse(await Deno.readTextFile(`${CHECKPOINT}/config.json`));
  const { plan } = nllbMoe.read(config);
  const layers = plan.expertLayers.map(({ stack, count }) => ({ stack, count: count + more }));
  const shape = { layers, sentences: 20, source: "eng_Latn", targets: ["deu_Latn"] };
  await writeTrace(path, synthesize({ ...shape, beams: 1, inOrder: true, seed: 3 }));
}

const read = async (model: string) => JSON.parse(await Deno.readTextFile(`${model}/manifest.json`));

Deno.test("pack --order-by and reorder put the same blocks to the same places", async () => {
  using folder = temporaryFolder();
  const { path } = folder, trace = `${path}/trace.gz`;
  await traceAt(trace);
  const run = async (args: string[]) => {
    const { code, err } = await moqe(args);
    assertEquals([code, err], [0, ""]);
  };
  const name = ["--name", "tiny"];
  await run(["pack", CHECKPOINT, `${path}/plain`, ...PAIRS, ...name]);
  await run(["pack", CHECKPOINT, `${path}/packed`, ...PAIRS, ...name, "--order-by", trace]);
  await run(["reorder", `${path}/plain`, `${path}/copied`, "--order-by", trace]);
  assertEquals(await read(`${path}/copied`), await read(`${path}/packed`));
  const places = (m: { expertLayers: { experts: { block: { offset: number } }[] }[] }) =>
    m.expertLayers.map((l) => l.experts.map((e) => e.block.offset));
  const [before, after] = [await read(`${path}/plain`), await read(`${path}/copied`)].map(places);
  assertEquals(before!.flat().toString() === after!.flat().toString(), false, "another order");
  assertStringIncludes((await moqe(["verify", `${path}/copied`])).out, "tiny is whole");
  const again = await moqe(["reorder", `${path}/plain`, `${path}/copied`, "--order-by", trace]);
  assertEquals(again.code, 2);
  assertStringIncludes(again.err, "there is a packed model already");
});

Deno.test("a trace of another model, one that is none, and none at all are refused with a remedy", async () => {
  using folder = temporaryFolder();
  const { path } = folder, trace = `${path}/trace`;
  await traceAt(trace, 4);
  const packing = ["pack", CHECKPOINT, `${path}/out`, ...PAIRS];
  const other = await moqe([...packing, "--order-by", trace]);
  assertEquals(other.code, 2);
  for (const said of ["the model's experts are", "a trace of", "moqe profile"]) {
    assertStringIncludes(other.err, said);
  }
  await Deno.writeTextFile(trace, "no trace\n");
  const none = await moqe([...packing, "--order-by", trace]);
  assertEquals(none.code, 2);
  assertStringIncludes(none.err, "moqe profile --trace");
  const missing = await moqe([...packing, "--order-by", `${path}/nothing`]);
  assertEquals(missing.code, 2);
  assertStringIncludes(missing.err, "nothing");
  const without = await moqe(["reorder", `${path}/a`, `${path}/b`]);
  assertEquals(without.code, 2);
  assertStringIncludes(without.err, "--order-by is needed");
});
