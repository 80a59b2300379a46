/** What LibreTranslate does at its edges: texts without words, several at once, texts that stay in their language. */
import { assert, assertEquals } from "@std/assert";
import { post, testApp } from "./double.ts";

type App = ReturnType<typeof testApp>["app"];

async function detect(app: App, q: unknown) {
  const response = await app.request("/detect", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ q }),
  });
  return { status: response.status, body: await response.json() };
}
const GERMAN = "Die Datei konnte nicht geöffnet werden.";
const FRENCH = "Le fichier n'a pas pu être ouvert parce qu'un autre programme l'utilise.";

Deno.test("/detect answers a text without words with a language of the model and confidence 0", async () => {
  const { app, engine } = testApp();
  for (const q of ["1234", ["1234", "", "!"]]) {
    assertEquals(await detect(app, q), { status: 200, body: [{ confidence: 0, language: "en" }] });
  }
  engine.info = { ...engine.info!, pairs: [{ source: "fra_Latn", target: "deu_Latn" }] };
  assertEquals((await detect(app, "1234")).body, [{ confidence: 0, language: "fr" }]);
  engine.info = undefined;
  assertEquals((await detect(app, "1234")).body, [{ confidence: 0, language: "en" }]);
});

Deno.test("/detect answers for all texts of a list together", async () => {
  const { app } = testApp();
  for (const q of [[GERMAN, "12"], [GERMAN, GERMAN, "Bonjour"], ["Bonjour", GERMAN, GERMAN]]) {
    const { body: [best] } = await detect(app, q);
    assertEquals(best.language, "de");
    assert(best.confidence > 50 && best.confidence <= 100);
  }
  const { body } = await detect(app, [FRENCH, "Die Datei."]);
  assertEquals([body.length, body[0].language], [3, "fr"], "the longer text says more");
  const [alone] = (await detect(app, [GERMAN])).body;
  assertEquals(alone, (await detect(app, GERMAN)).body[0]);
  const form = new URLSearchParams([["q", GERMAN], ["q", "Bonjour"]]);
  const sent = await app.request("/detect", { method: "POST", body: form });
  assertEquals((await sent.json())[0].language, "de");
});

Deno.test("/detect refuses what is no text, and more texts than are taken", async () => {
  const { app } = testApp();
  for (
    const [q, error] of [
      [undefined, "missing q parameter"],
      [[], "missing q parameter"],
      [["a", 7], "q must be a string or an array of strings"],
      [["a", "b", "c", "d", "e"], "request (5) exceeds text limit (4)"],
    ]
  ) {
    assertEquals(await detect(app, q), {
      status: 400,
      body: { error: `Invalid request: ${error}` },
    });
  }
});

Deno.test("a text that is to stay in its language stays as it is; a file, too", async () => {
  const { app, engine } = testApp();
  for (const [source, target] of [["en", "en"], ["de", "deu_Latn"]]) {
    const q = ["a <b>c</b>", " d\n"];
    for (const format of ["text", "html"]) {
      const answer = await app.request(post({ q, source, target, format, alternatives: 1 }));
      assertEquals([answer.status, await answer.json()], [200, {
        translatedText: q,
        alternatives: [[], []],
      }]);
    }
    const headers = { "Content-Type": "application/json", "Accept": "text/event-stream" };
    const events = await (await app.request(post({ q: "a b", source, target }, { headers })))
      .text();
    assert(events.includes('data: {"index":0,"text":"a b"}'), events);
    const form = new FormData();
    form.set("file", new File(["Open the file."], "a.txt"));
    form.set("source", source!);
    form.set("target", target!);
    const made = await app.request("/translate_file", { method: "POST", body: form });
    const { translatedFileUrl } = await made.json();
    const file = await app.request(new URL(translatedFileUrl).pathname);
    assertEquals(await file.text(), "Open the file.");
  }
  assertEquals(engine.calls.length, 0);
  const unknown = await app.request(post({ q: "a", source: "ja", target: "ja" }));
  assertEquals([unknown.status, (await unknown.json()).error], [400, "ja is not supported"]);
});
