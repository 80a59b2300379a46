/** The language that a text is translated from where the request leaves it open. */
import { assertEquals } from "@std/assert";
import { post, testApp } from "./double.ts";

async function translate(q: string, target: string) {
  const { app } = testApp();
  const response = await app.request(post({ q, source: "auto", target }));
  const { translatedText, detectedLanguage, error } = await response.json();
  return [response.status, translatedText ?? error, detectedLanguage?.language];
}

Deno.test("a short text is read as the model can read it, whatever the tables are sure of", async () => {
  for (const q of ["Hi", "Dark mode", "Invalid input", "Happy birthday", "Error", "Password"]) {
    assertEquals(await translate(q, "de"), [200, `deu ${q}`, "en"]);
  }
  const refusal = (name: string) =>
    `German (de) is not available as a target language from ${name}`;
  const french = "Le fichier n'a pas pu être ouvert.";
  assertEquals(await translate(french, "de"), [400, refusal("French (fr)"), undefined]);
  // No language that the model reads is written so.
  assertEquals(await translate("Открыть файл", "de"), [400, refusal("Russian (ru)"), undefined]);
  // Several languages are, so that the tables are sure of none.
  for (const q of ["Не удалось открыть файл.", "Не вдалося відкрити файл."]) {
    const [status, error] = await translate(q, "de");
    assertEquals([status, /^German \(de\) is not available/.test(error)], [400, true], error);
  }
  assertEquals(await translate("Wie spät ist es?", "de"), [200, "Wie spät ist es?", "de"]);
});

Deno.test("a target that nothing is translated to: what is in it already stays, other texts are refused", async () => {
  assertEquals(await translate("1234", "en"), [200, "1234", "en"]);
  assertEquals(await translate("Where are you going?", "en"), [200, "Where are you going?", "en"]);
  assertEquals(await translate("Hallo", "en"), [
    400,
    "English (en) is not available as a target language from German (de)",
    undefined,
  ]);
});
