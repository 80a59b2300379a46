/** Chat templates of a checkpoint: where they are written, what is refused, and that a packed model keeps them. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { DiskFolder } from "../../src/checkpoint/disk_folder.ts";
import { readTexts } from "../../src/checkpoint/texts.ts";
import { packCheckpoint } from "../../src/pack/pack.ts";
import { FileStore } from "../../src/store/file_store.ts";
import { type Manifest, parseManifest } from "../../src/store/manifest.ts";
import { TEST_PACK } from "../support/pack_options.ts";
import { openGolden } from "../support/packed.ts";
import { temporaryFolder } from "../support/safetensors.ts";

/** The texts of a checkpoint with this chat_template in its configuration, and this file beside it. */
async function textsWith(configured: unknown, file?: string) {
  using folder = temporaryFolder();
  const write = (name: string, text: string) =>
    Deno.writeTextFileSync(`${folder.path}/${name}`, text);
  write("config.json", "{}");
  write("tokenizer.json", "{}");
  write("tokenizer_config.json", JSON.stringify({ eos_token: "</s>", chat_template: configured }));
  if (file !== undefined) write("chat_template.jinja", file);
  const opened = new DiskFolder(folder.path);
  try {
    return await readTexts(opened, () => {});
  } finally {
    opened.close();
  }
}

Deno.test("a template may be a text, one of several, or a file of its own, which comes first", async () => {
  const named = [{ name: "default", template: "a" }, { name: "tool_use", template: "b" }];
  assertEquals((await textsWith(undefined)).chatTemplates, []);
  assertEquals((await textsWith("x")).chatTemplates, [{ name: "default", template: "x" }]);
  assertEquals((await textsWith(named)).chatTemplates, named);
  const file = { name: "default", template: "{{ é }}" };
  assertEquals((await textsWith(undefined, "{{ é }}")).chatTemplates, [file]);
  assertEquals((await textsWith("x", "{{ é }}")).chatTemplates, [file]);
  assertEquals((await textsWith(named, "{{ é }}")).chatTemplates, [file, named[1]!]);
  assertEquals((await textsWith("x")).tokenizerConfig, { eos_token: "</s>" });
});

Deno.test("templates of no such form, or too many or large, are refused", async () => {
  const one = { name: "default", template: "x" };
  const wrong = [3, {}, [one, 3], [{ name: "default" }], [{ ...one, name: "" }], [one, one]];
  for (const configured of [...wrong, "x".repeat(300_000), Array(17).fill(one)]) {
    await assertRejects(() => textsWith(configured), MoqeError, "chat_template");
  }
  await assertRejects(() => textsWith(undefined, "x".repeat(300_000)), MoqeError, "256");
});

Deno.test("a packed model keeps its templates; a manifest with too much of them is refused", async () => {
  using folder = temporaryFolder();
  const { checkpoint, plan } = await openGolden("every_layer");
  const { chatTemplates } = await textsWith("{{ messages }}");
  const texts = { ...checkpoint.texts, chatTemplates };
  const store = new FileStore(folder.path);
  const { manifest } = await packCheckpoint({ ...checkpoint, texts }, plan, store, TEST_PACK);
  checkpoint.weights.close();
  assertEquals(manifest.chatTemplates, chatTemplates);
  const text = Deno.readTextFileSync(`${folder.path}/manifest.json`);
  assertEquals(parseManifest(text, "here").chatTemplates, chatTemplates);
  const refused = (templates: Manifest["chatTemplates"]) =>
    assertThrows(
      () => parseManifest(JSON.stringify({ ...manifest, chatTemplates: templates }), "here"),
      MoqeError,
      "chatTemplates",
    );
  refused([{ name: "default", template: "x".repeat(2 ** 18 + 1) }]);
  refused([...chatTemplates, ...chatTemplates]);
  refused([]);
  const { chatTemplates: _, ...without } = manifest;
  assert(parseManifest(JSON.stringify(without), "here").chatTemplates === undefined);
});
