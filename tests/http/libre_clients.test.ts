/** LibreTranslate's clients, and its API beside /translate, against the running service. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { Translate } from "translate";
import { Served } from "./served.ts";

let served: Served;
Deno.test.beforeAll(async () => {
  served = await Served.start(["--beams", "2"]);
});
Deno.test.afterAll(async () => {
  assertEquals(await served.end(), 0);
});

const json = async (path: string, body: unknown) => {
  const response = await fetch(`${served.url}${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
};
const ok = { source: "en", target: "de" };

Deno.test("npm translate with the libre engine", async () => {
  // Its types know no url, which its manual has for servers of one's own.
  const options = { engine: "libre", url: `${served.url}/translate`, from: "en" } as const;
  const translate = Translate(options);
  const direct = await json("/translate", { ...ok, q: "Open the file." });
  assertEquals(await translate("Open the file.", "de"), direct.body.translatedText);
  await assertRejects(() => translate("Open the file.", "ja"), Error, "ja is not supported");
});

/** In a process of its own: the package brings types of an old Node, which the repository's own must not meet. */
async function libretranslate(options: Record<string, string>): Promise<string> {
  const code = `import lib from "npm:libretranslate@1.0.1";
    console.log(JSON.stringify(await lib.translate(${JSON.stringify(options)})));`;
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, code);
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-config", "--no-lock", "--no-check", file],
    }).output();
    const out = new TextDecoder().decode(stdout);
    if (out === "") throw new Error(new TextDecoder().decode(stderr));
    return JSON.parse(out);
  } finally {
    await Deno.remove(file);
  }
}

Deno.test("npm libretranslate, with a language and with detection", async () => {
  const apiurl = served.url, query = "Do you really want to delete all of these messages?";
  const named = await libretranslate({ query, source: "en", target: "fr", apiurl });
  assert(named.length > 0);
  assertEquals(await libretranslate({ query, target: "fr", apiurl }), named);
});

Deno.test("PyPI libretranslatepy sends forms, and /languages with a body", async () => {
  const form = new URLSearchParams({ q: "Open the file.", ...ok });
  const answer = await fetch(`${served.url}/translate`, { method: "POST", body: form });
  assert((await answer.json()).translatedText.length > 0);
  const guesses = await fetch(`${served.url}/detect`, {
    method: "POST",
    body: new URLSearchParams({ q: "Die Datei konnte nicht geöffnet werden." }),
  });
  const [best] = await guesses.json();
  assertEquals(best.language, "de");
  assert(best.confidence > 50 && best.confidence <= 100);
});

Deno.test("auto says what it detected, for one and for each of a batch", async () => {
  const q = "The file could not be opened because another program is using it.";
  const one = await json("/translate", { q, source: "auto", target: "de" });
  assertEquals(one.body.detectedLanguage.language, "en");
  const batch = await json("/translate", {
    q: [q, "Die Datei ist schon auf Deutsch geschrieben worden.", "123"],
    source: "auto",
    target: "de",
  });
  assertEquals(
    batch.body.detectedLanguage.map((d: { language: string }) => d.language),
    ["en", "de", "en"],
  );
  assertEquals(batch.body.translatedText.slice(1), [
    "Die Datei ist schon auf Deutsch geschrieben worden.",
    "123",
  ]);
  const french = await json("/translate", {
    q: "Le fichier n'a pas pu être ouvert parce qu'un autre programme l'utilise.",
    source: "auto",
    target: "de",
  });
  assertEquals([french.status, french.body.error], [
    400,
    "German (de) is not available as a target language from French (fr)",
  ]);
});

Deno.test("HTML keeps its tags, DeepL's XML its ignored ones", async () => {
  const html =
    '<p class="a">Open the <b>file</b> &amp; save it.</p><script>let x = 1 < 2;</script>';
  const { body } = await json("/translate", { ...ok, q: html, format: "html" });
  assertStringIncludes(body.translatedText, '<p class="a">');
  assertStringIncludes(body.translatedText, "<script>let x = 1 < 2;</script>");
  assertEquals(body.translatedText.match(/<\/?b>/g), ["<b>", "</b>"]);
  const xml = "<doc><x>Open the file.</x><keep>Save it.</keep></doc>";
  const deepl = await json("/v2/translate", {
    text: [xml],
    source_lang: "EN",
    target_lang: "DE",
    tag_handling: "xml",
    ignore_tags: ["keep"],
  });
  assertStringIncludes(deepl.body.translations[0].text, "<keep>Save it.</keep></doc>");
  const broken = await json("/v2/translate", {
    text: ["<a><b></a>"],
    source_lang: "EN",
    target_lang: "DE",
    tag_handling: "xml",
  });
  assertEquals(broken.status, 400);
  assertEquals(typeof broken.body.message, "string");
});

Deno.test("/frontend/settings and /detect have LibreTranslate's shapes", async () => {
  const settings = await (await fetch(`${served.url}/frontend/settings`)).json();
  assertEquals(settings.language.source, { code: "en", name: "English" });
  assertEquals([settings.keyRequired, settings.suggestions, settings.charLimit], [
    false,
    false,
    20_000,
  ]);
  assertEquals(await json("/detect", {}), {
    status: 400,
    body: { error: "Invalid request: missing q parameter" },
  });
  // Its clients read the first guess, so that there always is one.
  const unknown = [{ confidence: 0, language: "en" }];
  for (const q of ["1234", ["1234", ":-)"]]) {
    assertEquals((await json("/detect", { q })).body, unknown);
  }
});

Deno.test("/translate_file answers with an address that has the translation", async () => {
  const form = new FormData();
  const srt = "1\n00:00:01,000 --> 00:00:02,000\nOpen the file.\n";
  form.set("file", new File([srt], "film.srt"));
  form.set("source", "en");
  form.set("target", "de");
  const answer = await fetch(`${served.url}/translate_file`, { method: "POST", body: form });
  const { translatedFileUrl } = await answer.json();
  assert(translatedFileUrl.startsWith(`${served.url}/download_file/`));
  const file = await fetch(translatedFileUrl);
  assertStringIncludes(file.headers.get("Content-Disposition")!, "film_de.srt");
  const text = await file.text();
  assert(text.startsWith("1\n00:00:01,000 --> 00:00:02,000\n") && !text.includes("Open"));
  form.set("file", new File(["x"], "program.exe"));
  const refused = await fetch(`${served.url}/translate_file`, { method: "POST", body: form });
  assertEquals([refused.status, await refused.json()], [400, {
    error: "Invalid request: file format not supported",
  }]);
  const none = await fetch(`${served.url}/download_file/nothing.srt`);
  assertEquals([none.status, await none.json()], [404, { error: "Invalid filename" }]);
});

Deno.test("codes of every world name the same language", async () => {
  const texts = new Set<string>();
  for (const target of ["de", "DE", "deu_Latn", "de-AT", "deu"]) {
    const { body } = await json("/translate", { q: "Open the file.", source: "en-US", target });
    texts.add(body.translatedText);
  }
  assertEquals(texts.size, 1);
});
