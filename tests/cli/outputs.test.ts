/** Commands that work long and write at their end look first whether they can. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { checkWritable } from "../../src/cli/outputs.ts";
import { temporaryFolder } from "../support/safetensors.ts";
import { moqe } from "./moqe.ts";

Deno.test("an output that cannot be written is refused before the model is looked for", async () => {
  using folder = temporaryFolder({ texts: "Open the file.\n" });
  const texts = `${folder.path}/texts`, nowhere = `${folder.path}/none/out`;
  const pair = ["--from", "en", "--to", "de"];
  const runs = [
    ["eval", "/no/model", texts, texts, ...pair, "--output", nowhere],
    ["profile", texts, "--model", "/no/model", "--output", nowhere],
    ["profile", texts, "--model", "/no/model", "--output", texts, "--trace", nowhere],
    ["calibrate", "/no/model", texts, "--pairs", "en-de", "--output", nowhere],
  ];
  for (const args of runs) {
    const { code, err } = await moqe(args);
    assertEquals(code, 2, err);
    assertStringIncludes(err, `cannot write ${nowhere}`);
  }
});

Deno.test("profiles and the trace that they come from do not go to one file", async () => {
  using folder = temporaryFolder({ texts: "Open the file.\n" });
  const args = ["profile", `${folder.path}/texts`, "--model", "/no/model"];
  const both = ["--output", `${folder.path}/p`, "--trace", `${folder.path}/./p`];
  const { code, err } = await moqe([...args, ...both]);
  assertEquals(code, 2, err);
  assertStringIncludes(err, "--trace and --output are both");
});

Deno.test("looking leaves what is there, and nothing where nothing was", async () => {
  using folder = temporaryFolder({ mine: "mine" });
  const { path } = folder;
  await checkWritable(`${path}/mine`);
  await checkWritable(`${path}/new`);
  await checkWritable("/dev/null");
  assertEquals([...Deno.readDirSync(path)].map((e) => e.name), ["mine"]);
  assertEquals(Deno.readTextFileSync(`${path}/mine`), "mine");
  await assertRejects(() => checkWritable(path), MoqeError, "it is a folder");
});
