/** What is a text of its own: entries of a row, images' texts; symbols that stay, whatever the model makes of them. */
import { assertEquals } from "@std/assert";
import type { DocumentFormat } from "../../../src/text/documents/contract.ts";
import { translateDocument } from "../../../src/text/documents/translate.ts";

/** A document translated by `answer`, and what it was asked for. */
async function translated(
  text: string,
  format: DocumentFormat,
  answer: (text: string) => string,
): Promise<{ out: string; asked: string[] }> {
  const asked: string[] = [];
  const translate = (texts: readonly string[]) => {
    asked.push(...texts);
    return Promise.resolve(texts.map(answer));
  };
  const { bytes } = await translateDocument(new TextEncoder().encode(text), format, translate, {
    source: "en",
    target: "de",
  });
  return { out: new TextDecoder().decode(bytes), asked };
}

/** Words come in another order, as translations do. */
const backwards = (text: string) => text.split(" ").reverse().join(" ").toUpperCase();

Deno.test("entries of a row are texts of their own: none takes words of another", async () => {
  const menu = '<p><a href="/">Home</a> <a href="/p">Our products</a>\n<a href="/h">Help</a></p>';
  assertEquals(
    (await translated(menu, "html", backwards)).out,
    menu
      .replace("Home", "HOME").replace("Our products", "PRODUCTS OUR").replace("Help", "HELP"),
  );
  const columns = "<div><span>Name</span> <span>Date modified</span></div>";
  assertEquals((await translated(columns, "html", backwards)).asked, ["Name", "Date modified"]);
  const links = "[Install](#i) · [How to use](#u) · [License](#l)\n";
  assertEquals(
    (await translated(links, "markdown", backwards)).out,
    "[INSTALL](#i) · [USE TO HOW](#u) · [LICENSE](#l)\n",
  );
  const sentences = ["<p><b>Please</b> <i>Note</i></p>", "<p>See <a>this</a> <a>page</a></p>"];
  for (const sentence of sentences) {
    const { asked } = await translated(sentence, "html", backwards);
    assertEquals(asked.includes(sentence.replace(/<[^>]*>/g, "")), true, `${asked}`);
  }
});

Deno.test("a link that would have no words has its own translated", async () => {
  const text = '<p>Press <a href="u">here</a> or <a href="v">there</a> now</p>';
  const { out } = await translated(
    text,
    "html",
    (t) => t.startsWith("Press here") ? "Jetzt" : t.toUpperCase(),
  );
  assertEquals(out, '<p>PRESS <a href="u">HERE</a> OR <a href="v">THERE</a> NOW</p>');
});

Deno.test("what stands for an image is translated by itself, and the image stands apart as it did", async () => {
  const badges = "[![Build status](a)](b) [![Downloads](c)](d)\n";
  assertEquals(
    (await translated(badges, "markdown", backwards)).out,
    "[![STATUS BUILD](a)](b) [![DOWNLOADS](c)](d)\n",
  );
  const inside = await translated(
    "Save the ![floppy disk](d.png) file.\n",
    "markdown",
    (text) => text === "Save the file." ? "Speichern Sie die Datei." : text.toUpperCase(),
  );
  assertEquals(inside.asked.toSorted(), ["Save the file.", "floppy disk"]);
  assertEquals(inside.out.replace("![FLOPPY DISK](d.png) ", ""), "Speichern Sie die Datei.\n");
  const other = "![a *b*](1.png)\n\n![label][]\n\n[label]: u\n";
  assertEquals(
    (await translated(other, "markdown", backwards)).out,
    other.replace("![label][]", "![LABEL][label]"),
  );
  assertEquals(
    (await translated('<p>Save <img src="s"> the file</p>', "html", () => "Die Datei sichern")).out,
    '<p>Die <img src="s"> Datei sichern</p>',
  );
});

Deno.test("symbols stay: at the ends of a sentence untouched, inside with what the model makes of them put right", async () => {
  const list = "- ✅ Fast\n- 🔒 Secure ✔\n\n## 📦 Install\n\n日本語 · Thank you! 🎉\n";
  const { out, asked } = await translated(list, "markdown", (text) => text.toUpperCase());
  assertEquals(out, "- ✅ FAST\n- 🔒 SECURE ✔\n\n## 📦 INSTALL\n\n日本語 · THANK YOU! 🎉\n");
  assertEquals(asked.some((text) => /[✅🔒✔📦🎉]/u.test(text)), false, `${asked}`);
  const lossy = (text: string) => text.replace(/[€£®→]/g, "©").toUpperCase();
  const price = "Price of Brand® → 10 € or £5 each\n";
  assertEquals((await translated(price, "text", lossy)).out, "PRICE OF BRAND® → 10 € OR £5 EACH\n");
  const new_ = await translated("Turn it by 30 degrees\n", "text", () => "Drehen um 30°");
  assertEquals(new_.out, "Drehen um 30°\n", "a symbol for a word is the model's to write");
});
