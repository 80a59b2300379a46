/** What several texts of one request have together: its time, its end, and how many there may be. */
import { assert, assertEquals } from "@std/assert";
import { post, testApp } from "./double.ts";

/** A POST of JSON to DeepL's route. */
const deepl = (body: unknown) =>
  new Request("http://localhost/v2/translate", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

Deno.test("all languages of a request have its time together", async () => {
  const { app, engine } = testApp({ limits: { requestTimeoutMs: 5000 } }, (engine) => {
    engine.info = {
      ...engine.info!,
      pairs: ["deu_Latn", "fra_Latn"].map((source) => ({ source, target: "eng_Latn" })),
    };
    const translate = engine.translate.bind(engine);
    engine.translate = async (...args) => {
      await new Promise((resolve) => setTimeout(resolve, 100));
      return await translate(...args);
    };
  });
  const q = ["Die Datei konnte nicht geöffnet werden.", "Le fichier n'a pas pu être ouvert."];
  const body = { q, source: "auto", target: "en", format: "text" };
  assertEquals((await app.request(post(body))).status, 200);
  assertEquals(engine.timeouts.length, 2);
  assert(engine.timeouts[1]! <= 4901, `${engine.timeouts}`);
});

Deno.test("a page that is refused stops those that are worked on beside it", async () => {
  const { app, engine } = testApp({ limits: { maxTexts: 8 } });
  engine.held = true;
  const answer = app.request(
    deepl({
      text: ["<a>Open the file.</a>", "<a>Save the file.</a>", "<a>not closed"],
      source_lang: "EN",
      target_lang: "DE",
      tag_handling: "xml",
    }),
  );
  assertEquals((await answer).status, 400);
  assertEquals([engine.calls.length, engine.cancelled], [engine.calls.length, engine.calls.length]);
});

Deno.test("lists are bounded before their entries are looked at", async () => {
  const { app } = testApp({ limits: { maxBodyBytes: 100_000 } });
  const ask = async (more: Record<string, unknown>) => {
    const body = { text: ["a"], source_lang: "EN", target_lang: "DE", ...more };
    const answer = await app.request(
      deepl(body),
    );
    return [answer.status, (await answer.json()).message];
  };
  const many = testApp({ limits: { maxBodyBytes: 100_000, maxTexts: 12_000 } });
  const texts = { text: Array(11_000).fill("1"), source_lang: "EN", target_lang: "DE" };
  const all = await many.app.request(
    deepl(texts),
  );
  assertEquals(all.status, 200, "of texts a setting says how many");
  assertEquals(await ask({ text: Array(5).fill(1) }), [
    400,
    "Parameter 'text' has 5 texts; 4 are the most.",
  ]);
  assertEquals(await ask({ ignore_tags: Array(10_001).fill(1) }), [
    400,
    "Parameter 'ignore_tags' has 10001 entries; 10000 are the most.",
  ]);
});
