/** deepl-node against the running service: every call that it has, those that make no sense here included. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  AuthorizationError,
  DeepLClient,
  DeepLError,
  GlossaryEntries,
  GlossaryNotFoundError,
  QuotaExceededError,
} from "deepl-node";
import { hashKey } from "../../src/http/access/keys.ts";
import { Served } from "./served.ts";

const KEY = "the-key-of-the-acceptance-test";
const SMALL = "the-key-with-a-small-quota";
const KEYS = JSON.stringify({
  keys: [
    { name: "test", sha256: hashKey(KEY), charactersPerMonth: 1_000_000 },
    { name: "small", sha256: hashKey(SMALL), charactersPerMonth: 20 },
  ],
});

let served: Served;
const client = (key = KEY) =>
  new DeepLClient(key, { serverUrl: served.url, maxRetries: 0, minTimeout: 60_000 });
const text = (answer: { text: string }) => answer.text;

Deno.test.beforeAll(async () => {
  served = await Served.start(["--keys-json", KEYS, "--beams", "2"]);
});
Deno.test.afterAll(async () => {
  assertEquals(await served.end(), 0);
  assertEquals(served.output.err.includes(KEY), false, "no log line has a key");
});

Deno.test("deepl-node: usage and languages", async () => {
  const usage = await client().getUsage();
  assertEquals(usage.character?.limit, 1_000_000);
  assertEquals(usage.anyLimitReached(), false);
  assertEquals((await client().getSourceLanguages()).map((l) => l.code), ["en"]);
  const targets = await client().getTargetLanguages();
  assertEquals(targets.map((l) => [l.code, l.name, l.supportsFormality]), [
    ["de", "German", false],
    ["es", "Spanish", false],
    ["fr", "French", false],
  ]);
});

Deno.test("deepl-node: translateText, one and several, with its options", async () => {
  const one = await client().translateText("Open the file.", "en", "de");
  assert(one.text.length > 0);
  assertEquals([one.detectedSourceLang, one.billedCharacters], ["en", 14]);
  const several = await client().translateText(["Open the file.", "Save it."], "en", "fr", {
    splitSentences: "nonewlines",
    preserveFormatting: true,
    formality: "prefer_more",
    context: "A menu.",
    modelType: "latency_optimized",
  });
  assertEquals([several.length, several[0]!.modelTypeUsed], [2, "latency_optimized"]);
  assertEquals((await client().translateText("Open the file.", "en", "de")).text, one.text);
  const before = await client().getUsage();
  await client().translateText("Open it.", "en", "es");
  assertEquals((await client().getUsage()).character!.count, before.character!.count + 8);
});

Deno.test("deepl-node: glossaries of one pair", async () => {
  const c = client();
  const entries = new GlossaryEntries({ entries: { printer: "Druckmaschine", folder: "Mappe" } });
  const made = await c.createGlossary("mine", "en", "de", entries);
  assertEquals([made.name, made.ready, made.sourceLang, made.targetLang, made.entryCount], [
    "mine",
    true,
    "en",
    "de",
    2,
  ]);
  assertEquals((await c.getGlossary(made.glossaryId)).glossaryId, made.glossaryId);
  assertEquals((await c.listGlossaries()).length, 1);
  assertEquals((await c.getGlossaryEntries(made)).entries(), entries.entries());
  const translated = await c.translateText("Open the folder.", "en", "de", { glossary: made });
  assertStringIncludes(translated.text, "Mappe");
  const csv = await c.createGlossaryWithCsv(
    "csv",
    "en",
    "fr",
    Buffer.from('"disk, hard",disque\n'),
  );
  assertEquals((await c.getGlossaryEntries(csv)).entries(), { "disk, hard": "disque" });
  await assertRejects(
    () => c.translateText("Open it.", "en", "de", { glossary: csv }),
    DeepLError,
    "no entries from en to de",
  );
  assertEquals((await c.getGlossaryLanguagePairs()).length, 3);
  for (const { glossaryId } of [made, csv]) await c.deleteGlossary(glossaryId);
  await assertRejects(() => c.getGlossary(made.glossaryId), GlossaryNotFoundError);
  await assertRejects(
    () => c.createGlossary("bad", "en", "ja", entries),
    DeepLError,
    "'target_lang'",
  );
});

Deno.test("deepl-node: glossaries of several pairs", async () => {
  const c = client();
  const of = (entries: Record<string, string>) => new GlossaryEntries({ entries });
  const made = await c.createMultilingualGlossary("two", [
    { sourceLangCode: "en", targetLangCode: "de", entries: of({ folder: "Mappe" }) },
    { sourceLangCode: "en", targetLangCode: "fr", entries: of({ folder: "chemise" }) },
  ]);
  const id = made.glossaryId;
  assertEquals(made.dictionaries.map((d) => [d.targetLangCode, d.entryCount]), [
    ["de", 1],
    ["fr", 1],
  ]);
  assertEquals((await c.getMultilingualGlossary(id)).name, "two");
  assertEquals((await c.listMultilingualGlossaries()).length, 1);
  const read = async (target: "de" | "es" | "fr") =>
    (await c.getMultilingualGlossaryDictionaryEntries(id, "en", target)).entries.entries();
  assertEquals(await read("fr"), { folder: "chemise" });
  assertEquals((await c.updateMultilingualGlossaryName(id, "three")).name, "three");
  await c.updateMultilingualGlossaryDictionary(id, {
    sourceLangCode: "en",
    targetLangCode: "de",
    entries: of({ printer: "Druckmaschine" }),
  });
  assertEquals(await read("de"), { folder: "Mappe", printer: "Druckmaschine" });
  await c.replaceMultilingualGlossaryDictionary(id, {
    sourceLangCode: "en",
    targetLangCode: "de",
    entries: of({ disk: "Platte" }),
  });
  assertEquals(await read("de"), { disk: "Platte" });
  await c.replaceMultilingualGlossaryDictionaryWithCsv(id, "en", "es", "disk,disco");
  assertEquals(await read("es"), { disk: "disco" });
  await c.updateMultilingualGlossaryDictionaryWithCsv(id, "en", "es", "folder,carpeta");
  assertEquals(await read("es"), { disk: "disco", folder: "carpeta" });
  const terms = await c.translateText("Open the folder.", "en", "es", { glossary: id });
  assertStringIncludes(terms.text.toLowerCase(), "carpeta");
  await c.deleteMultilingualGlossaryDictionary(id, "en", "fr");
  await assertRejects(() => read("fr"), GlossaryNotFoundError);
  const csv = await c.createMultilingualGlossaryWithCsv("csv", "en", "de", "a,b\nc,d");
  assertEquals(csv.dictionaries[0]!.entryCount, 2);
  const both = await c.translateText("Open the folder of the disk.", "en", "es", {
    glossaryIds: [id],
  });
  assertStringIncludes(both.text.toLowerCase(), "carpeta");
  for (const each of [id, csv]) await c.deleteMultilingualGlossary(each);
  await assertRejects(() => c.getMultilingualGlossary(id), GlossaryNotFoundError);
});

Deno.test("deepl-node: a glossary is its key's owner's alone", async () => {
  const entries = new GlossaryEntries({ entries: { a: "b" } });
  const { glossaryId } = await client().createGlossary("mine", "en", "de", entries);
  await assertRejects(() => client(SMALL).getGlossary(glossaryId), GlossaryNotFoundError);
  assertEquals((await client(SMALL).listGlossaries()).length, 0);
  await client().deleteGlossary(glossaryId);
});

Deno.test("deepl-node: a document, at once and step by step", async () => {
  const c = client();
  const folder = await Deno.makeTempDir();
  try {
    const source = "# Open the file\n\n- Save it in `folder`.\n\n```\nlet x = 1;\n```\n";
    await Deno.writeTextFile(`${folder}/in.md`, source);
    const status = await c.translateDocument(`${folder}/in.md`, `${folder}/out.md`, "en", "de");
    assertEquals([status.status, status.done()], ["done", true]);
    assert(status.billedCharacters! > 10);
    const out = await Deno.readTextFile(`${folder}/out.md`);
    assertStringIncludes(out, "```\nlet x = 1;\n```\n");
    assert(out.startsWith("# ") && out !== source);
    const handle = await c.uploadDocument(Buffer.from(source), null, "fr", { filename: "a.md" });
    const { status: done } = await c.isDocumentTranslationComplete(handle);
    assertEquals(done.ok(), true);
    const other = { ...handle, documentKey: "wrong" };
    await assertRejects(() => c.getDocumentStatus(other), DeepLError, "document_key");
    await assertRejects(() => client(SMALL).getDocumentStatus(handle), DeepLError, "Not found");
    await c.downloadDocument(handle, `${folder}/fr.md`);
    await assertRejects(
      () => c.downloadDocument(handle, `${folder}/2.md`),
      DeepLError,
      "Not found",
    );
    await assertRejects(
      () => c.uploadDocument(Buffer.from("x"), "en", "de", { filename: "a.exe" }),
      DeepLError,
      "'file'",
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("deepl-node: its error classes for a wrong key, a used-up quota, a bad language", async () => {
  await assertRejects(() => client("wrong").getUsage(), AuthorizationError, "Invalid API key");
  const small = client(SMALL);
  assert(text(await small.translateText("Open the file.", "en", "de")).length > 0);
  await assertRejects(
    () => small.translateText("Open the file.", "en", "de"),
    QuotaExceededError,
    "Quota Exceeded",
  );
  await assertRejects(
    () => client().translateText("Open it.", "en", "ja"),
    DeepLError,
    "Value for 'target_lang' not supported: \"ja\". Supported: DE, ES, FR.",
  );
  await assertRejects(
    () => client().translateText("Open it.", "en", "de", { formality: "more" }),
    DeepLError,
    "'formality'",
  );
});

Deno.test("deepl-node: calls without a meaning here are refused clearly", async () => {
  const c = client();
  await assertRejects(() => c.rephraseText("Hi.", "en-US"), DeepLError, "Not found");
  await assertRejects(() => c.getAllStyleRules(), DeepLError, "Not found");
  await assertRejects(() => c.listTranslationMemories(), DeepLError, "Not found");
  await assertRejects(
    () => c.translateText("Hi.", "en", "de", { styleRule: "x" }),
    DeepLError,
    "'style_id'",
  );
  await assertRejects(
    () => c.translateText("Hi.", "en", "de", { customInstructions: ["x"] }),
    DeepLError,
    "'custom_instructions'",
  );
});
