/** What of a document its language is detected by. */
import { assert, assertEquals } from "@std/assert";
import type { DocumentFormat } from "../../../src/text/documents/contract.ts";
import { sampleOf } from "../../../src/text/documents/sample.ts";
import { detectLanguage } from "../../../src/text/detect.ts";
import { assertProportional } from "../work.ts";

const ENGLISH = "The file could not be opened. Please choose another folder and try again.";
const GERMAN = "Die Datei konnte nicht geöffnet werden. Bitte wählen Sie einen anderen Ordner.";
const FRENCH = "Le fichier n'a pas pu &ecirc;tre ouvert. Veuillez choisir un autre dossier.";
const STYLE = ".btn { margin: 0 auto; padding: 1em; border-radius: 3px; }\n".repeat(300);
const SCRIPT = "function f(a) { return document.getElementById(a) < 3; }\n".repeat(300);

async function languageOf(text: string, format: DocumentFormat): Promise<string | undefined> {
  return (await detectLanguage(sampleOf(text, format)))[0]?.code;
}

Deno.test("a page is of the language of its text, whatever styles, scripts and comments are before it", async () => {
  const page = (text: string) =>
    `<html><!-- ${
      GERMAN.repeat(200)
    } --><style>${STYLE}</style><script>${SCRIPT}</script><p>${text}</p>`;
  assertEquals(await languageOf(page(ENGLISH), "html"), "en");
  assertEquals(await languageOf(page(FRENCH), "html"), "fr");
  assertEquals(await languageOf(`<a><style/><b>${FRENCH}</b></a>`, "xml"), "fr");
});

Deno.test("a catalogue is of the language of its messages, not of its translations", async () => {
  const entry = (i: number) =>
    `#: a.c:${i}\nmsgid ""\n"${ENGLISH} "\n"${i}"\nmsgid_plural "Files"\nmsgstr[0] "${GERMAN}"\nmsgstr[1] ""\n\n`;
  const header = `msgid ""\nmsgstr ""\n"Language-Team: ${GERMAN}\\n"\n\n`;
  const text = header + Array.from({ length: 20 }, (_, i) => entry(i)).join("");
  assertEquals(await languageOf(text, "po"), "en");
  assert(!sampleOf(text, "po").includes("Datei"));
  assertEquals(
    await languageOf(`{"the_file_could_not": "${GERMAN}", "be_opened": 1}`, "json"),
    "de",
  );
});

Deno.test("samples take work in proportion", async () => {
  for (const text of ['msgid "', 'msgid "" ', 'msgid "\\', "<script>", "<!--", '"a']) {
    for (const format of ["po", "html", "json"] as const) {
      await assertProportional(`${format} ${text}`, 2000, (n) => sampleOf(text.repeat(n), format));
    }
  }
});
