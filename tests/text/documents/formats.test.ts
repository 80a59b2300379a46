/** Files of each format as other programs write them: unusual, and valid. */
import { assertEquals } from "@std/assert";
import type { DocumentFormat, DocumentOptions } from "../../../src/text/documents/contract.ts";
import { translateDocument } from "../../../src/text/documents/translate.ts";
import { parseGlossary } from "../../../src/text/glossary.ts";
import { findSpans } from "../../../src/text/rich/spans.ts";
import { ADVERSARIES } from "../adversaries.ts";
import { assertProportional } from "../work.ts";

const OPTIONS: DocumentOptions = { source: "en", target: "de" };

/** A document whose texts are put in capitals. */
async function capitals(
  text: string,
  format: DocumentFormat,
  options: Partial<DocumentOptions> = {},
): Promise<string> {
  const bytes = new TextEncoder().encode(text);
  const out = await translateDocument(bytes, format, ADVERSARIES["capitals"]!, {
    ...OPTIONS,
    ...options,
  });
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(out.bytes);
}

const PLURAL = 'msgid "a file"\nmsgid_plural "%d files"\n';

Deno.test("gettext: comments and blank lines between plural forms end no entry", async () => {
  for (const between of ["\n", "# of many\n", "#, c-format\n", "\n#. note\n\n"]) {
    const out = await capitals(`${PLURAL}msgstr[0] ""\n${between}msgstr[1] ""\n`, "po");
    assertEquals(out, `${PLURAL}msgstr[0] "A FILE"\n${between}msgstr[1] "%d FILES"\n`);
  }
  const forms = `msgstr[0] ""\n# c\nmsgstr[1] ""\n\n# next\nmsgid "b"\nmsgstr ""\n`;
  const next = `\n# next\nmsgid "b"\nmsgstr "B"\n`;
  assertEquals(
    await capitals(PLURAL + forms, "po", { target: "ja" }),
    `${PLURAL}msgstr[0] "%d FILES"\n# c\n${next}`,
    "fewer forms than are there",
  );
  assertEquals(
    await capitals(PLURAL + forms, "po", { target: "ru" }),
    `${PLURAL}msgstr[0] "%d FILES"\n# c\nmsgstr[1] "%d FILES"\nmsgstr[2] "%d FILES"\n${next}`,
    "more forms than are there",
  );
  const inside = 'msgid "a"\nmsgstr ""\n# inside\n""\n\nmsgid "b"\nmsgstr ""\n';
  assertEquals(
    await capitals(inside, "po"),
    'msgid "a"\nmsgstr "A"\n# inside\n\nmsgid "b"\nmsgstr "B"\n',
  );
});

Deno.test("gettext: a header that names no encoding, or one without umlauts, names what is written", async () => {
  const header = (charset: string, encoding: string) =>
    `msgid ""\nmsgstr ""\n"Language: de\\n"\n"Content-Type: text/plain; charset=${charset}\\n"\n` +
    `"Content-Transfer-Encoding: ${encoding}\\n"\n\nmsgid "a"\nmsgstr "`;
  for (const charset of ["CHARSET", "ISO-8859-1", "ascii"]) {
    assertEquals(
      await capitals(`${header(charset, "ENCODING")}"\n`, "po"),
      `${header("UTF-8", "8bit")}A"\n`,
    );
  }
  for (const charset of ["UTF-8", "utf-8", "utf8"]) {
    assertEquals(
      await capitals(`${header(charset, "8bit")}"\n`, "po"),
      `${header(charset, "8bit")}A"\n`,
    );
  }
});

Deno.test("pages in ASCII that say they are in another encoding than UTF-8 get references, which every encoding has", async () => {
  const translate = ADVERSARIES["capitals"]!;
  const umlauts: typeof translate = async (texts, signal) =>
    (await translate(texts, signal)).map((text) => `${text} Ü😀`);
  const page = async (text: string, format: DocumentFormat) => {
    const { bytes } = await translateDocument(
      new TextEncoder().encode(text),
      format,
      umlauts,
      OPTIONS,
    );
    return new TextDecoder().decode(bytes);
  };
  const html = (charset: string, title: string, word: string) =>
    `<!DOCTYPE html><head><meta ${charset}></head><p title="${title}">${word}</p>`;
  for (
    const charset of [
      "charset=iso-8859-1",
      'http-equiv="Content-Type" content="text/html; charset=windows-1252"',
    ]
  ) {
    assertEquals(
      await page(html(charset, "a", "Caf&eacute;"), "html"),
      html(charset, "A &#xdc;&#x1f600;", "CAF&#xc9; &#xdc;&#x1f600;"),
    );
  }
  const plain = 'charset="utf-8"';
  assertEquals(await page(html(plain, "a", "b"), "html"), html(plain, "A Ü😀", "B Ü😀"));
  // Its bytes are UTF-8 whatever it says.
  const wrong = "charset=iso-8859-1";
  assertEquals(await page(html(wrong, "a", "é"), "html"), html(wrong, "A Ü😀", "É Ü😀"));
  assertEquals(
    await page('<?xml version="1.0" encoding="US-ASCII"?><a>b</a>', "xml"),
    '<?xml version="1.0" encoding="US-ASCII"?><a>B &#xdc;&#x1f600;</a>',
  );
});

Deno.test("gettext: one of several lines of flags says fuzzy; those of an obsolete entry are its own", async () => {
  const guess = 'msgid "a"\nmsgstr ""\n\n';
  for (const flags of ["#, fuzzy\n#, c-format\n", "#, c-format\n#, fuzzy\n"]) {
    assertEquals(await capitals(flags + guess, "po"), flags + guess);
    // They stand behind another entry's strings, with and without a blank line.
    const text = `msgid "x"\nmsgstr "y"\n${flags}${guess}`;
    assertEquals(await capitals(text, "po"), text);
  }
  const obsolete = '#, fuzzy\n#~ msgid "old"\n#~ msgstr "alt"\n\n';
  assertEquals(await capitals(obsolete + guess, "po"), `${obsolete}msgid "a"\nmsgstr "A"\n\n`);
  assertEquals(
    await capitals(`#, c-format\n#, no-wrap\n${guess}`, "po", { poFuzzy: true }),
    '#, fuzzy, c-format\n#, no-wrap\nmsgid "a"\nmsgstr "A"\n\n',
  );
});

Deno.test("gettext: strings in a row, behind blank lines, and domains are read", async () => {
  const sources = [
    'msgid "hello " "there"\n',
    'msgid"hello "\n\n"there"\n',
    'msgid "hello "\n# note\n"there"\n',
    'domain "other"\nmsgid "" "hello there"\n',
  ];
  for (const source of sources) {
    assertEquals(await capitals(`${source}msgstr ""\n`, "po"), `${source}msgstr "HELLO THERE"\n`);
    const done = `${source}msgstr "x" ""\n\n"y"\n`;
    assertEquals(await capitals(done, "po"), done);
  }
  const lost = 'msgid "a"\n\nmsgid "b"\nmsgstr ""\n';
  assertEquals(
    await capitals(lost, "po"),
    lost.replace('""', '"B"'),
    "a source without a string has none of the next one's",
  );
});

Deno.test("subtitles: WebVTT without blank lines and numbers has all its lines translated", async () => {
  const text = "WEBVTT\n\n00:01.000 --> 00:02.000\none\ntwo\n00:02.000 --> 00:03.000\nthree\n" +
    "4\n00:03.000 --> 00:04.000\nfour\n\nintro\n00:04.000 --> 00:05.000\nfive\n\nnote me\n";
  const words = /one|two|three|four|five/g;
  const out = await capitals(text, "vtt");
  assertEquals(out.replace("ONE TWO", "ONE\nTWO"), text.replace(words, (w) => w.toUpperCase()));
});

Deno.test("subtitles: a SubRip cue goes on behind a blank line until the next one's times", async () => {
  const text = "1\r\n00:00:01,000 --> 00:00:02,000\r\nfirst\r\n\r\nsecond\r\n \r\n7\r\n\r\n" +
    "2\r\n00:00:02,000 --> 00:00:03,000\r\n\r\nthird\r\n3\r\n00:00:03,000 --> 00:00:04,000\r\n\r\nlast";
  assertEquals(
    await capitals(text, "srt"),
    text.replace(/first|second|third|last/g, (w) => w.toUpperCase()),
  );
});

Deno.test("long runs inside one text take work in proportion", async () => {
  await assertProportional("printf with a name", 4_000, (n) => {
    findSpans(`%(a)${"0".repeat(n)}!`);
  });
  const shapes: [DocumentFormat, (n: number) => string][] = [
    ["json", (n) => `{"a": "a${"_".repeat(n)}!"}`],
    ["json", (n) => `{"a": "a${".b".repeat(n / 2)}!"}`],
    ["po", (n) => `msgid ${'"" '.repeat(n / 3)}x\n`],
    ["po", (n) => 'msgid "a"\n\n#, fuzzy\n"b"\n'.repeat(n / 25)],
    ["srt", (n) => `1\n00:00:01,000 --> 00:00:02,000\n${"1\n\n".repeat(n / 3)}`],
    ["vtt", (n) => `WEBVTT\n\n${"00:01.000 --> 00:02.000\n1\n".repeat(n / 26)}`],
  ];
  for (const [format, make] of shapes) {
    await assertProportional(`${format} ${make(30)}`, 4_000, async (n) => {
      await capitals(make(n), format).catch(() => {});
    });
  }
});

Deno.test("a printf argument with a name is kept with its flags, width and precision", () => {
  for (const argument of ["%(name)s", "%(n)-05.2f", "%(count)+d", "%(a.b)#x"]) {
    const text = `x ${argument} y`;
    const [span] = findSpans(text);
    assertEquals([span?.kind, text.slice(span!.start, span!.end)], ["placeholder", argument]);
  }
});

Deno.test("gettext: a template that is filled is marked fuzzy no more, other flags stay", async () => {
  const rest = 'msgid ""\nmsgstr "Language: \\n"\n\nmsgid "a"\nmsgstr ""\n';
  const filled = 'msgid ""\nmsgstr "Language: de\\n"\n\nmsgid "a"\nmsgstr "A"\n';
  assertEquals(await capitals(`# title\n#, fuzzy\n${rest}`, "po"), `# title\n${filled}`);
  assertEquals(await capitals(`#, fuzzy, no-wrap\n${rest}`, "po"), `#, no-wrap\n${filled}`);
});

Deno.test("gettext: a form that is of 0 and 1 shows its number", async () => {
  const text = 'msgid "One file"\nmsgid_plural "%d files"\nmsgstr[0] ""\nmsgstr[1] ""\n';
  const forms = async (target: string, header = "") =>
    (await capitals(header + text, "po", { target })).match(/msgstr\[\d\] .*/g);
  assertEquals(await forms("fr"), ['msgstr[0] "%d FILES"', 'msgstr[1] "%d FILES"']);
  assertEquals(await forms("de"), ['msgstr[0] "ONE FILE"', 'msgstr[1] "%d FILES"']);
  const header = 'msgid ""\nmsgstr "Plural-Forms: nplurals=2; plural=n>1;\\n"\n\n';
  assertEquals(await forms("es", header), ['msgstr[0] "%d FILES"', 'msgstr[1] "%d FILES"']);
});

Deno.test("subtitles: what several say in one cue is a text for each of them", async () => {
  const cue = (lines: string) => `WEBVTT\n\n00:01.000 --> 00:02.000\n${lines}\n`;
  const voices = "<v Fred>Where did you\nput the keys\n<v Bob>On the table";
  assertEquals(
    await capitals(cue(voices), "vtt"),
    cue("<v Fred>WHERE DID\nYOU PUT THE KEYS\n<v Bob>ON THE TABLE"),
  );
  const tagged = "{\\an8}- Where are you?\n<i>- Here it is.</i>";
  const asked: string[] = [];
  await translateDocument(new TextEncoder().encode(cue(tagged)), "vtt", (texts) => {
    asked.push(...texts);
    return Promise.resolve([...texts]);
  }, OPTIONS);
  assertEquals(asked.some((text) => text.includes("you") && text.includes("Here")), false);
  assertEquals(
    await capitals(cue("AT 5:00 we\nGO AT 6:00 home"), "vtt"),
    cue("AT 5:00 WE GO\nAT 6:00 HOME"),
  );
  for (const [one, other] of [[">> ", ">> "], ["JOHN: ", "MARY: "], ["- ", "- "]]) {
    const lines = `${one}where are you?\n${other}here`;
    assertEquals(
      await capitals(cue(lines), "vtt"),
      cue(lines.replace(/where.*|here/g, (w) => w.toUpperCase())),
    );
  }
});

Deno.test("JSON: a key with dots is named whole", async () => {
  const text = '{"app.name": "One two", "app.title": "Three", "app": {"title": "Four"}}';
  assertEquals(
    await capitals(text, "json", { jsonKeptKeys: ["app.name"] }),
    text.replace("Three", "THREE").replace("Four", "FOUR"),
  );
  assertEquals(
    await capitals(text, "json", { jsonKeys: ["app.title"] }),
    text.replace("Three", "THREE").replace("Four", "FOUR"),
  );
});

Deno.test("glossary terms may hold numbers, which are kept for themselves elsewhere", async () => {
  const glossary = parseGlossary(
    "COVID-19\tCorona\nOffice 365\tBüro 365\n24/7\timmer\nAcme™ Cloud\tAcme™ Wolke\n",
    "tsv",
  );
  const text = "COVID-19 and Office 365 run 24/7 on 19 Acme™ Cloud hosts\n";
  assertEquals(
    await capitals(text, "text", { glossary }),
    "Corona AND Büro 365 RUN immer ON 19 Acme™ Wolke HOSTS\n",
  );
});

Deno.test("an apostrophe before an ICU argument quotes nothing", async () => {
  const bytes = new TextEncoder().encode('["You have {n, plural, other {# files}} here"]');
  const out = await translateDocument(
    bytes,
    "json",
    (texts) => Promise.resolve(texts.map((t) => t.replace("You have ", "l'"))),
    OPTIONS,
  );
  assertEquals(
    JSON.parse(new TextDecoder().decode(out.bytes)),
    ["l''{n, plural, other {# files}} here"],
  );
});
