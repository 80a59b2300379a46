/** Documents: a corpus of real files against adversaries, and what each format promises. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { MoqeError } from "../../../src/base/errors.ts";
import type {
  DocumentFormat,
  DocumentOptions,
  TranslateTexts,
} from "../../../src/text/documents/contract.ts";
import { textParts } from "../../../src/text/documents/text.ts";
import {
  formatNamed,
  formatOfName,
  translateDocument,
} from "../../../src/text/documents/translate.ts";
import { findSpans } from "../../../src/text/rich/spans.ts";
import { ADVERSARIES } from "../adversaries.ts";
import { assertProportional } from "../work.ts";
import { skeletonOf } from "./skeletons.ts";

const CORPUS = new URL("../corpus/", import.meta.url);
const OPTIONS: DocumentOptions = { source: "en", target: "de" };
const CAPITALS = ADVERSARIES["capitals"]!;

async function document(
  text: string,
  format: DocumentFormat,
  translate: TranslateTexts = CAPITALS,
  options: Partial<DocumentOptions> = {},
): Promise<string> {
  const bytes = new TextEncoder().encode(text);
  const out = await translateDocument(bytes, format, translate, { ...OPTIONS, ...options });
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(out.bytes);
}

/** Placeholders, addresses and tags of a text, in no order. */
function spans(text: string): string[] {
  return findSpans(text).filter((s) =>
    s.kind === "placeholder" || s.kind === "url" || s.kind === "email"
  )
    .map((s) => text.slice(s.start, s.end)).filter((s) => s !== '\\"').sort();
}

const files = [...Deno.readDirSync(CORPUS)].map((e) => e.name).filter((n) => n !== "README.md")
  .sort();

for (const name of files) {
  Deno.test(`${name} keeps its structure whatever the translator answers`, async () => {
    const text = Deno.readTextFileSync(new URL(name, CORPUS)), format = formatOfName(name)!;
    const before = skeletonOf(text, format);
    for (const [adversary, translate] of Object.entries(ADVERSARIES)) {
      const out = await document(text, format, translate);
      const after = skeletonOf(out, format);
      const at = after.findIndex((line, i) => line !== before[i]);
      assertEquals(
        [after.length, after[at]],
        [before.length, before[at]],
        `${name}, ${adversary}, part ${at}`,
      );
      if (format === "srt" || format === "vtt" || format === "json") {
        assertEquals(spans(out), spans(text));
      }
    }
    assert(
      await document(text, format) !== text || /comments|regions/.test(name),
      "something is translated",
    );
  });
}

Deno.test("there are files of every format", () => {
  const found = new Set(files.map((name) => formatOfName(name)));
  assertEquals([...found].sort(), ["html", "json", "markdown", "po", "srt", "text", "vtt", "xml"]);
  assertEquals([formatNamed("md"), formatNamed("PO"), formatOfName("a.unknown")], [
    "markdown",
    "po",
    undefined,
  ]);
});

Deno.test("text: wrapped paragraphs are one text and are wrapped again, other lines stay", async () => {
  const asked: string[] = [];
  const text = "Title\n=====\n\n" +
    "  A paragraph whose lines have been broken at some width by the person\n  who wrote it, so that its sentences go over lines.\n\n" +
    "* one thing\n* another\n\nShort line\nother line\n";
  const out = await document(
    text,
    "text",
    (t) => Promise.resolve((asked.push(...t), t.map((x) => x.toUpperCase()))),
  );
  assertEquals(out, text.toUpperCase());
  assertEquals(asked.slice(1, 4), [
    "A paragraph whose lines have been broken at some width by the person who wrote it, so that its sentences go over lines.",
    "one thing",
    "another",
  ]);
});

Deno.test("markdown: every construct, and what would be syntax is escaped", async () => {
  const text = await Deno.readTextFile(new URL("constructs.md", import.meta.url));
  const expected = await Deno.readTextFile(new URL("constructs.out.md", import.meta.url));
  assertEquals(await document(text, "markdown"), expected);
  const becomes = (answer: string, source = "word here") =>
    document(`${source}\n`, "markdown", (t) => Promise.resolve(t.map(() => answer)));
  assertEquals(await becomes("1. eins"), "1\\. eins\n");
  assertEquals(await becomes("- eins"), "\\- eins\n");
  assertEquals(await becomes("a * b", "x * y"), "a \\* b\n");
  assertEquals(await becomes("+ eins"), "\\+ eins\n");
});

Deno.test("gettext: plural forms by the header, fuzzy on request, template headers filled, strings wrapped", async () => {
  const text =
    `msgid ""\nmsgstr ""\n"Language: \\n"\n"Plural-Forms: nplurals=INTEGER; plural=EXPRESSION;\\n"\n\n` +
    `#, c-format\nmsgid "One file"\nmsgid_plural "%d files"\nmsgstr[0] ""\nmsgstr[1] ""\n\nmsgid "a\\tb \\"c\\"\\n"\nmsgstr ""\n`;
  assertEquals(
    await document(text, "po", CAPITALS, { target: "ru" }),
    `msgid ""\nmsgstr ""\n"Language: ru\\n"\n` +
      `"Plural-Forms: nplurals=3; plural=(n%10==1 && n%100!=11 ? 0 : n%10>=2 && "\n"n%10<=4 && (n%100<12 || n%100>14) ? 1 : 2);\\n"\n\n` +
      `#, c-format\nmsgid "One file"\nmsgid_plural "%d files"\nmsgstr[0] "%d FILES"\nmsgstr[1] "%d FILES"\nmsgstr[2] "%d FILES"\n\n` +
      `msgid "a\\tb \\"c\\"\\n"\nmsgstr "A\\tB \\"C\\"\\n"\n`,
  );
  const fuzzy = await document(
    `#, c-format\nmsgid "x %s"\nmsgstr ""\n\nmsgid "y"\nmsgstr ""\n`,
    "po",
    CAPITALS,
    { poFuzzy: true },
  );
  assertEquals(
    fuzzy,
    `#, fuzzy, c-format\nmsgid "x %s"\nmsgstr "X %s"\n\n#, fuzzy\nmsgid "y"\nmsgstr "Y"\n`,
  );
  const bare =
    'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\nmsgid "a"\nmsgid_plural "b"\n' +
    'msgstr[0] ""\nmsgstr[1] ""\n';
  const filled = await document(bare, "po", CAPITALS, { target: "ja" });
  assert(filled.includes('"Language: ja\\n"\n"Plural-Forms: nplurals=1; plural=0;\\n"\n'), filled);
  assert(filled.endsWith('msgid_plural "b"\nmsgstr[0] "B"\n'), filled);
  const long = await document(`msgid "${"word ".repeat(40)}end"\nmsgstr ""\n`, "po");
  assert(long.split("\n").slice(1).every((l) => l.length <= 79), long);
  for (const name of files.filter((n) => n.endsWith(".po") || n.endsWith(".pot"))) {
    const out = await document(Deno.readTextFileSync(new URL(name, CORPUS)), "po");
    const again = await document(out, "po", () => Promise.reject(new Error("asked")));
    assertEquals(again, out, `${name}: what is translated is left alone`);
  }
});

Deno.test("JSON: keys by name and path, identifiers kept, layout and comments kept", async () => {
  const text =
    `// note\n{ "title": "One two", "id": "some_id", "menu": { "title": "open", "kind": "a.b" },\n  "n": [1, "x y"], "url": "https://a.b/c" }\n`;
  assertEquals(
    await document(text, "json"),
    text.replace("One two", "ONE TWO").replace('"open"', '"OPEN"').replace("x y", "X Y"),
  );
  assertEquals(
    await document(text, "json", CAPITALS, { jsonKeys: ["menu.title"] }),
    text.replace('"open"', '"OPEN"'),
  );
  assertEquals(await document(text, "json", CAPITALS, { jsonKeptKeys: ["title", "n"] }), text);
  const quotes = await document(
    '["say it"]',
    "json",
    (t) => Promise.resolve(t.map(() => 'sag "es"')),
  );
  assertEquals(JSON.parse(quotes), ['sag "es"']);
});

Deno.test("subtitles: times stay, lines are balanced, speakers' lines stay lines", async () => {
  const text =
    "1\r\n00:00:01,000 --> 00:00:04,000\r\nA first line of speech that goes\r\non in a second line.\r\n\r\n" +
    "2\r\n00:00:05,000 --> 00:00:06,500 X1:40\r\n- Where are you?\r\n- <i>Here</i>, {\\an8}of course!\r\n";
  const out = await document(text, "srt");
  assertEquals(out.split("\r\n").length, text.split("\r\n").length);
  assert(out.includes("- <i>HERE</i>, {\\an8}OF COURSE!\r\n"));
  const longer = await document(text, "srt", (t) => Promise.resolve(t.map((x) => `${x} ${x}`)));
  assert(longer.split("\r\n").every((l) => l.length <= 60), longer);
});

Deno.test("what is no document of its format is refused with its line; so are other encodings and too much", async () => {
  const refused = async (
    text: string | Uint8Array,
    format: DocumentFormat,
    rule: string,
    code = "bad_input",
  ) => {
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
    const run = () => translateDocument(bytes, format, CAPITALS, { ...OPTIONS, maxBytes: 100_000 });
    const error = await assertRejects(run, MoqeError, rule) as MoqeError;
    assertEquals(error.code, code);
  };
  await refused('{"a": "b",\n "c" 1}', "json", "line 2, column 6");
  await refused("[".repeat(5000), "json", "nested 200 deep");
  await refused('msgid "x"\nmsgstr y\n', "po", "line 2");
  await refused("only text\n", "srt", "no line has times");
  await refused("<a><b></a>", "xml", "well formed");
  await refused(new Uint8Array([0xff, 0xfe, 0x41, 0]), "text", "UTF-8");
  await refused("x".repeat(100_001), "text", "97.7 KiB", "too_large");
});

Deno.test("hostile documents take work in proportion", async () => {
  const shapes: [DocumentFormat, string][] = [
    ["markdown", "*a "],
    ["markdown", "["],
    ["markdown", "[a]("],
    ["markdown", "`"],
    ["markdown", "**a **b "],
    ["markdown", "> "],
    ["markdown", "- a\n"],
    ["markdown", "<a "],
    ["markdown", "![["],
    ["markdown", "_a*"],
    ["markdown", "| a "],
    ["markdown", "~~a "],
    ["po", '"x"\n'],
    ["po", "#, fuzzy\n"],
    ["po", 'msgid "a\\"\n'],
    ["po", 'msgid "a"\nmsgstr ""\n'],
    ["json", "["],
    ["json", '"\\"'],
    ["json", '"a",'],
    ["srt", "00:00:01,000 --> 00:00:02,000\nx\n"],
    ["srt", "1\n\n"],
    ["text", "- "],
    ["text", "a\n"],
    ["text", "{{"],
    ["text", "%"],
    ["text", "{a, plural, one {"],
    ["text", "http://"],
    ["text", "a@"],
    ["text", "`a"],
    ["text", "<a"],
    ["text", "1.2"],
    ["text", "/a"],
    ["text", "--a"],
    ["text", "$a\\n"],
    ["text", "日本"],
  ];
  for (const [format, unit] of shapes) {
    await assertProportional(`${format} ${unit}`, 2_000, async (length) => {
      try {
        await document(unit.repeat(Math.ceil(length / unit.length)), format);
      } catch (thrown) {
        if (!(thrown instanceof MoqeError)) throw thrown;
      }
    });
  }
});

Deno.test("nests and runs of blanks take work in proportion, too", async () => {
  const shapes: [string, DocumentFormat, (units: number) => string][] = [
    ["messages never closed", "text", (n) => "{a,plural,b{".repeat(n)],
    ["quotations never closed", "text", (n) => "{a,plural,b{'{".repeat(n)],
    ["tags in tags", "text", (n) => "<b>".repeat(n) + "</b>".repeat(n)],
    ["kept tags in kept tags", "text", (n) => "<code>".repeat(n) + "</code>".repeat(n)],
    ["tabs", "markdown", (n) => `a${"\t".repeat(8 * n)}b`],
    ["carriage returns", "markdown", (n) => "\r".repeat(8 * n)],
  ];
  for (const [name, format, make] of shapes) {
    await assertProportional(name, 1_000, (units) => document(make(units), format));
  }
});

Deno.test("lines, numbers and entities may be more than a call takes arguments", async () => {
  const many = 150_000;
  const speech = `1\n00:00:01,000 --> 00:00:02,000\n${"1\n".repeat(many)}`;
  // Of so many lines each would be translated alone, which takes its time.
  assertEquals(textParts("1\n".repeat(many), OPTIONS).length, 3 * many);
  for (
    const [format, text] of [
      ["text", `${"1 ".repeat(many)}!`],
      ["srt", speech],
      ["html", "&lt;".repeat(many)],
    ] as const
  ) assertEquals(await document(text, format), text);
});
