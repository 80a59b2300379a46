/** The real service with a model that is prompted, through every API that translates. Made-up weights: structure alone is held. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { chatEnds, chatPairs } from "../../src/engine/chat_model.ts";
import { architectureOf } from "../../src/arch/registry.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { packChat, writeQwen3Chat, writeTinyChat } from "../support/chat_model.ts";
import { after, Served } from "./served.ts";

const SEARCH = ["--threads", "1", "--beams", "1", "--max-tokens", "12"];

let folder: string, served: Served;
Deno.test.beforeAll(async () => {
  folder = await Deno.makeTempDir({ prefix: "moqe-test-" });
  const model = await packChat(writeQwen3Chat, `${folder}/qwen3`);
  served = await Served.start(["--model", model, "--host-memory", "768MiB", ...SEARCH]);
});
Deno.test.afterAll(async () => {
  assertEquals(await served.end(), 0);
  await Deno.remove(folder, { recursive: true });
});

// deno-lint-ignore no-explicit-any
async function json(answer: Promise<Response> | Response): Promise<any> {
  const response = await answer, text = await response.text();
  assertEquals(response.status, 200, text);
  return JSON.parse(text);
}
const translate = (body: object) => json(served.translate({ source: "en", target: "de", ...body }));
const deepl = (path: string, body: object) =>
  json(fetch(`${served.url}${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  }));

Deno.test("POST /translate: a text, several, placeholders, alternatives", async () => {
  const one = await translate({ q: "Open the file." });
  assert(one.translatedText.length > 0 && one.translatedText !== "Open the file.");
  const q = ["Open {count} files at https://example.org/a?b=c.", "", "Open the file.", "1234"];
  const many = await translate({ q });
  assertEquals(many.translatedText.length, 4);
  assertStringIncludes(many.translatedText[0], "{count}");
  assertStringIncludes(many.translatedText[0], "https://example.org/a?b=c");
  assertEquals(many.translatedText.slice(1), ["", one.translatedText, "1234"]);
  const other = await translate({ q: "Open the file.", alternatives: 2, beams: 4 });
  assertEquals(other.alternatives.length, 2);
  assertEquals(new Set([other.translatedText, ...other.alternatives]).size, 3);
});

Deno.test("POST /translate: HTML keeps its elements, a language is found", async () => {
  const q = '<p class="a">Open the <b>file</b>.</p><script>let text = 1;</script>';
  const { translatedText } = await translate({ q, format: "html" });
  assertMatch(
    translatedText,
    /^<p class="a">[^<]*<b>[^<]+<\/b>[^<]*<\/p><script>let text = 1;<\/script>$/,
  );
  const found = await translate({ q: "Where is the railway station, please?", source: "auto" });
  assertEquals(found.detectedLanguage.language, "en");
});

Deno.test("deltas of a stream join to the answer, told by sentences", async () => {
  const q = ["Open the file. Save it now!", "Close the window."];
  const whole = await translate({ q });
  const response = await served.translate({ q, source: "en", target: "de" }, {
    headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
  });
  const events = (await response.text()).split("\n\n").flatMap((block) => {
    const name = /^event: (\w+)$/m.exec(block)?.[1];
    return name === undefined ? [] : [{ name, data: JSON.parse(/^data: (.*)$/m.exec(block)![1]!) }];
  });
  assertEquals(events.at(-1), { name: "done", data: whole });
  const told = (index: number) =>
    events.filter((e) => e.name === "delta" && e.data.index === index)
      .map((e) => e.data.text);
  assertEquals([told(0).join(""), told(1).join("")], whole.translatedText);
  assert(told(0).length >= 2, "a sentence at a time");
});

Deno.test("GET /languages and /v2/languages, POST /detect", async () => {
  const languages = await json(fetch(`${served.url}/languages`));
  assertEquals(languages.length, 13);
  // deno-lint-ignore no-explicit-any
  for (const { targets } of languages as any[]) assertEquals(targets.length, 12);
  const targets = await json(fetch(`${served.url}/v2/languages?type=target`));
  // deno-lint-ignore no-explicit-any
  const codes = (targets as any[]).map((t) => t.language);
  for (const code of ["DE", "JA", "KO"]) assert(codes.includes(code), `${codes}`);
  const [detected] = await deepl("/detect", { q: "Wo ist denn hier der Bahnhof?" });
  assertEquals(detected.language, "de");
});

Deno.test("DeepL's API: texts, tags, a glossary", async () => {
  const ask = { source_lang: "EN", target_lang: "DE" };
  const plain = await deepl("/v2/translate", { ...ask, text: ["Open the file.", "Close it."] });
  assertEquals(plain.translations.length, 2);
  const tagged = await deepl("/v2/translate", {
    ...ask,
    text: ["Open the <b>file</b> now."],
    tag_handling: "xml",
  });
  assertMatch(tagged.translations[0].text, /^[^<]*<b>[^<]+<\/b>[^<]*$/);
  const made = await fetch(`${served.url}/v2/glossaries`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      name: "terms",
      source_lang: "en",
      target_lang: "de",
      entries: "window\tGlaspalast",
      entries_format: "tsv",
    }),
  });
  const { glossary_id } = await made.json();
  const termed = await deepl("/v2/translate", {
    ...ask,
    text: ["Open the window now."],
    glossary_id,
  });
  assertStringIncludes(termed.translations[0].text, "Glaspalast");
});

Deno.test("documents: LibreTranslate's file and DeepL's document", async () => {
  const text = "# Open the file\n\nSave `x y` now.\n";
  const form = (fields: Record<string, string>) => {
    const body = new FormData();
    body.set("file", new File([text], "a.md"));
    for (const [name, value] of Object.entries(fields)) body.set(name, value);
    return { method: "POST", body };
  };
  const file = await json(
    fetch(`${served.url}/translate_file`, form({ source: "en", target: "de" })),
  );
  const isWhole = /^# [^\n]+\n\n[^\n]*`x y`[^\n]*\n$/;
  assertMatch(await (await fetch(file.translatedFileUrl)).text(), isWhole);
  const sent = await json(
    fetch(`${served.url}/v2/document`, form({ source_lang: "EN", target_lang: "DE" })),
  );
  const { document_id, document_key } = sent;
  const at = `/v2/document/${document_id}`;
  for (let status = ""; status !== "done"; await after(20)) {
    ({ status } = await deepl(at, { document_key }));
    assert(status !== "error");
  }
  const result = await fetch(`${served.url}${at}/result?document_key=${document_key}`);
  assertMatch(await result.text(), isWhole);
});

Deno.test("pairs are the packer's, else the card's languages, else those of a list", () => {
  const provenance = { checkpoint: "x", quantizer: "x", packer: "x" };
  const pairs = ["eng_Latn-swh_Latn"];
  assertEquals(chatPairs({ pairs, provenance: { ...provenance, languages: ["fr", "de"] } }), pairs);
  const card = chatPairs({
    pairs: [],
    provenance: { ...provenance, languages: ["fr", "xx", "sw"] },
  });
  assertEquals(card, ["fra_Latn-swh_Latn", "swh_Latn-fra_Latn"]);
  // A card that names one language says nothing of translation.
  const one = chatPairs({ pairs: [], provenance: { ...provenance, languages: ["en"] } });
  assertEquals(one, chatPairs({ pairs: [], provenance }));
  assertEquals(one.length, 13 * 12);
});

Deno.test("an answer ends with every token that one of the three files names", async () => {
  const path = `${folder}/ends`;
  await writeTinyChat(path);
  const read = async (name: string) => JSON.parse(await Deno.readTextFile(`${path}/${name}`));
  const config = await read("config.json");
  const { spec } = architectureOf(config).read(config);
  const tokenizer = loadTokenizer(
    await read("tokenizer.json"),
    await read("tokenizer_config.json"),
  );
  const ends = (generation: Record<string, unknown>) =>
    chatEnds(spec, { generation }, tokenizer).tokens.eos;
  assertEquals(ends({}), [256, 258]);
  assertEquals(ends({ eos_token_id: [257, 256] }), [256, 257, 258]);
  assertEquals(ends({ eos_token_id: 7 }), [256, 7, 258]);
  assertEquals(ends({ eos_token_id: "no id" }), [256, 258]);
});
