/** moqe profile as a person runs it, with the shipped model. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { temporaryFolder } from "../support/safetensors.ts";
import { moqe } from "./moqe.ts";

const PAIRS = ["--pairs", "en-de,en-fr,en-es,en-de"];

Deno.test("texts may be in a file for each pair, however many pairs there are", async () => {
  using folder = temporaryFolder({ texts: "Open the file.\n" });
  const texts = `${folder.path}/texts`, output = `${folder.path}/profiles.json`;
  const args = ["profile", texts, texts, texts, texts, ...PAIRS, "--beams", "1"];
  const { code, out, err } = await moqe([...args, "--output", output]);
  assertEquals([code, err], [0, ""]);
  assertStringIncludes(out, "4 texts");
});

Deno.test("no texts make no profile", async () => {
  using folder = temporaryFolder({ empty: "\n \n" });
  const output = `${folder.path}/profiles.json`;
  for (const [name, what] of [["empty", "no line with text"], ["none", "No such file"]]) {
    const { code, err } = await moqe(["profile", `${folder.path}/${name}`, "--output", output]);
    assertEquals(code, 2);
    assertStringIncludes(err, what!);
  }
  assertEquals([...Deno.readDirSync(folder.path)].length, 1);
});
