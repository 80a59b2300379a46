import { assertEquals, assertRejects } from "@std/assert";
import { replaceText } from "../../src/base/files.ts";

Deno.test("a file replaced by many at once is one of theirs, whole, and nothing else stays behind", async () => {
  const folder = await Deno.makeTempDir({ prefix: "moqe-files-" });
  try {
    const path = `${folder}/state.json`;
    const texts = Array.from({ length: 20 }, (_, i) => `${i}`.repeat(10_000 * (i + 1)));
    await Promise.all(texts.map((text) => replaceText(path, text)));
    assertEquals(texts.includes(await Deno.readTextFile(path)), true);
    assertEquals([...Deno.readDirSync(folder)].map((e) => e.name), ["state.json"]);
    // A folder in its place cannot be replaced: the error is the caller's, the half is not.
    await Deno.mkdir(`${folder}/taken/inside`, { recursive: true });
    await assertRejects(() => replaceText(`${folder}/taken`, "text"));
    assertEquals([...Deno.readDirSync(folder)].map((e) => e.name).sort(), ["state.json", "taken"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
