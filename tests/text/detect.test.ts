/** Detection: short texts of eight languages, restricted and not; nothing said about what has no words. */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { detectLanguage } from "../../src/text/detect.ts";

const TEXTS: readonly [string, string][] = [
  ["eng_Latn", "The file could not be opened because it is being used by another program."],
  ["eng_Latn", "Where are you going?"],
  ["deu_Latn", "Die Datei konnte nicht geöffnet werden, weil ein anderes Programm sie benutzt."],
  ["deu_Latn", "Wie spät ist es?"],
  ["fra_Latn", "Impossible d’ouvrir le fichier, car un autre programme l’utilise."],
  ["fra_Latn", "Où allez-vous ?"],
  ["spa_Latn", "No se pudo abrir el archivo porque otro programa lo está usando."],
  ["spa_Latn", "¿Dónde está la biblioteca?"],
  ["ita_Latn", "Impossibile aprire il file perché è in uso da un altro programma."],
  ["por_Latn", "Não foi possível abrir o arquivo porque outro programa o está usando."],
  ["rus_Cyrl", "Не удалось открыть файл."],
  ["jpn_Jpan", "ファイルを開けませんでした。"],
  ["kor_Hang", "파일을 열 수 없습니다."],
  ["ell_Grek", "Το αρχείο δεν ήταν δυνατό να ανοίξει."],
  ["zho_Hans", "这个文件无法打开。"],
  ["zho_Hant", "這個檔案無法開啟，請再試一次。"],
  ["heb_Hebr", "לא ניתן היה לפתוח את הקובץ."],
  ["pol_Latn", "Nie można otworzyć pliku, ponieważ używa go inny program."],
];

Deno.test("short texts are told apart, and confidences are shares", async () => {
  for (const [flores, text] of TEXTS) {
    const found = await detectLanguage(text);
    assertEquals(found[0]?.flores, flores, text);
    const sum = found.reduce((total, f) => total + f.confidence, 0);
    assert(
      sum <= 1 + 1e-9 && found.every((f, i) => f.confidence <= (found[i - 1]?.confidence ?? 1)),
    );
  }
});

Deno.test("candidates alone are considered, a single one is certain", async () => {
  const [best] = await detectLanguage("Não foi possível abrir", ["en", "es", "deu_Latn"]);
  assertEquals(best?.code, "es");
  assertEquals(await detectLanguage("Irgendein Text", ["en"]), [
    { flores: "eng_Latn", code: "en", confidence: 1 },
  ]);
  const norwegian = await detectLanguage("Filen kunne ikke åpnes fordi den er i bruk", [
    "en",
    "nn",
  ]);
  assertEquals(norwegian[0]?.flores, "nno_Latn");
});

Deno.test("addresses, tags and placeholders say nothing about the language", async () => {
  const text =
    "https://www.example.org/the/file/could/not/be/opened {{the_name_of}} <b>Wie</b> spät ist es?";
  assertEquals((await detectLanguage(text))[0]?.code, "de");
  for (const empty of ["", "  ", "12:30", "%s {0}", "https://a.b/c"]) {
    assertEquals(await detectLanguage(empty), []);
  }
});

Deno.test("a long text is as sure as it gets, a word is not", async () => {
  const long = await detectLanguage(TEXTS[2]![1].repeat(2000));
  assertGreater(long[0]!.confidence, 0.95);
  assert((await detectLanguage("Datei"))[0]!.confidence < 0.9);
});
