/** Language codes of all the kinds that clients send. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { findLanguage, languageOf, LANGUAGES } from "../../src/text/languages.ts";

Deno.test("the table has NLLB's 202 languages, and no code means two", () => {
  assertEquals(LANGUAGES.length, 202);
  const codes = LANGUAGES.flatMap((l) => [l.flores, ...new Set([l.code, ...l.aliases])]);
  assertEquals(new Set(codes.map((code) => code.toLowerCase())).size, codes.length);
  for (const { flores, code, name, aliases } of LANGUAGES) {
    assert(/^[a-z]{3}_[A-Z][a-z]{3}$/.test(flores), flores);
    assert(name.length > 1 && code.length > 1, flores);
    for (const each of [flores, code, ...aliases]) assertEquals(findLanguage(each)?.flores, flores);
    Intl.getCanonicalLocales(code); // a well-formed language tag
  }
});

Deno.test("codes of LibreTranslate, DeepL, BCP 47 and ISO 639 find their language", () => {
  const expected: Record<string, string> = {
    en: "eng_Latn",
    EN: "eng_Latn",
    "EN-US": "eng_Latn",
    "en_GB": "eng_Latn",
    de: "deu_Latn",
    " De-at ": "deu_Latn",
    deu: "deu_Latn",
    DEU_LATN: "deu_Latn",
    "deu-latn": "deu_Latn",
    "pt-BR": "por_Latn",
    "pt-PT": "por_Latn",
    pb: "por_Latn",
    zh: "zho_Hans",
    "ZH-HANS": "zho_Hans",
    zt: "zho_Hant",
    "zh-Hant": "zho_Hant",
    "zh-Hant-TW": "zho_Hant",
    "zh_tw": "zho_Hant",
    nb: "nob_Latn",
    no: "nob_Latn",
    "es-419": "spa_Latn",
    ar: "arb_Arab",
    fa: "pes_Arab",
    sq: "als_Latn",
    sr: "srp_Cyrl",
    "sr-Cyrl-RS": "srp_Cyrl",
    tl: "tgl_Latn",
    ace: "ace_Latn",
    iw: "heb_Hebr",
  };
  for (const [code, flores] of Object.entries(expected)) {
    assertEquals(findLanguage(code)?.flores, flores, code);
  }
});

Deno.test("what is no language is not guessed", () => {
  for (const code of ["", " ", "xx", "e", "english", "sr-Latn", "auto", "-", "en-", "__proto__"]) {
    assertEquals(findLanguage(code), undefined, code);
  }
});

Deno.test("a failure lists what is offered", () => {
  const offered = ["deu_Latn", "fra_Latn"];
  assertEquals(languageOf("FR", offered).flores, "fra_Latn");
  const error = assertThrows(() => languageOf("es", offered), MoqeError, "de, fr");
  assertEquals(error.code, "bad_input");
  assertThrows(() => languageOf("xx"), MoqeError, "zh-Hans");
});
