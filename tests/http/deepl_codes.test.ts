/** Languages as DeepL's clients know them. */
import { assertEquals } from "@std/assert";
import { testApp } from "./double.ts";

const PAIRS = ["deu_Latn-eng_Latn", "eng_Latn-por_Latn", "eng_Latn-deu_Latn"].map((pair) => {
  const [source, target] = pair.split("-") as [string, string];
  return { source, target };
});

async function listed(type: string): Promise<{ language: string; name: string }[]> {
  const { app } = testApp({}, (engine) => engine.info = { ...engine.info!, pairs: PAIRS });
  return await (await app.request(`/v2/languages?type=${type}`)).json();
}

Deno.test("targets whose plain code DeepL's clients refuse are listed by region, sources are not", async () => {
  const codes = async (type: string) => (await listed(type)).map((l) => l.language);
  assertEquals(await codes("source"), ["DE", "EN"]);
  assertEquals(await codes("target"), ["DE", "EN-GB", "EN-US", "PT-BR", "PT-PT"]);
  assertEquals((await listed("target"))[2], {
    language: "EN-US",
    name: "English (American)",
    supports_formality: false,
  } as object);
});

Deno.test("every target that is listed can be asked for, and so can its plain code", async () => {
  const { app } = testApp({}, (engine) => engine.info = { ...engine.info!, pairs: PAIRS });
  const targets = (await listed("target")).map((l) => l.language);
  for (const target_lang of [...targets, "EN", "pt"]) {
    const source_lang = target_lang.toUpperCase().startsWith("EN") ? "DE" : "EN";
    const response = await app.request("/v2/translate", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ text: ["Hallo"], source_lang, target_lang }),
    });
    assertEquals(response.status, 200, target_lang);
    await response.body?.cancel();
  }
});

Deno.test("a pair that is not trained is refused with what can be asked for instead", async () => {
  const { app } = testApp({}, (engine) => engine.info = { ...engine.info!, pairs: PAIRS });
  const response = await app.request("/v2/translate", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ text: ["Hallo"], source_lang: "DE", target_lang: "PT-BR" }),
  });
  assertEquals([response.status, (await response.json()).message], [
    400,
    "Value for 'target_lang' not supported with 'source_lang' DE. Supported: EN-GB, EN-US.",
  ]);
});
