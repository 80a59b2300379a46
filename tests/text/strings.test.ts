/** Plain texts: tags, terms and sentences, against translators that break whatever they can. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { TextOptions, TranslateTexts } from "../../src/text/documents/contract.ts";
import { readGlossary } from "../../src/text/glossary.ts";
import { translateStrings } from "../../src/text/strings.ts";
import { ADVERSARIES } from "./adversaries.ts";

const OPTIONS: TextOptions = { source: "en", target: "de" };

async function one(text: string, translate: TranslateTexts, options = OPTIONS): Promise<string> {
  return (await translateStrings([text], translate, options))[0]!;
}

/** Answers by table; what is not in it is an error, so that a test says all that is asked. */
function table(answers: Record<string, string>): TranslateTexts {
  return (texts) =>
    Promise.resolve(texts.map((text) => {
      assert(text in answers, `not in the table: ${JSON.stringify(text)}`);
      return answers[text]!;
    }));
}

Deno.test("unnumbered printf arguments keep their order", async () => {
  const out = await one("Copy %s to %d of %s", ADVERSARIES["reversed"]!);
  assertEquals(out.match(/%[sd]/g), ["%s", "%d", "%s"]);
  const numbered = await one("Copy %1$s to %2$d now", ADVERSARIES["reversed"]!);
  assertEquals(numbered, "now %2$d to %1$s Copy");
});

Deno.test("a span that was lost is asked for again with a mask, and at last the pieces alone", async () => {
  const asked: string[] = [];
  const out = await one("Open {file} now", (texts) => {
    asked.push(...texts);
    return Promise.resolve(
      texts.map((t) => t === "Open <1> now" ? "Jetzt < 1 > öffnen" : "Verloren"),
    );
  });
  assertEquals(out, "Jetzt {file} öffnen");
  assertEquals(asked, ["Open {file} now", "Open <1> now"]);
  const lost = await one("Open {file} now", ADVERSARIES["constant"]!);
  assertEquals(lost, "Lorem ipsum {file} Lorem ipsum");
});

Deno.test("a bent span is put right", async () => {
  const out = await one(
    "Costs 1,234.50 for {Name}",
    table({
      "Costs 1,234.50 for {Name}": "Kostet 1.234,50 für { name }",
    }),
  );
  assertEquals(out, "Kostet 1,234.50 für {Name}");
});

Deno.test("tags go over the words that they were over", async () => {
  const translate = table({
    "Press the red button to stop.": "Zum Anhalten den roten Knopf drücken.",
    "red button": "roter Knopf",
    "stop": "anhalten",
  });
  const out = await one("Press the <b>red button</b> to <i>stop</i>.", translate);
  assertEquals(out, "Zum <i>Anhalten</i> den <b>roten Knopf</b> drücken.");
  assertEquals(await one("<p>All of it.</p>", table({ "All of it.": "Alles." })), "<p>Alles.</p>");
});

Deno.test("an element keeps the numbers and placeholders in it", async () => {
  const cases: [string, string][] = [
    ["See <b>Chapter 12</b> for more.", "SEE <b>CHAPTER 12</b> FOR MORE."],
    ["a <b>12 b</b> c <i>d {e}</i> 5 f", "A <b>12 B</b> C <i>D {e}</i> 5 F"],
    ["One. Two <b>of 3 things</b> here.", "ONE. TWO <b>OF 3 THINGS</b> HERE."],
  ];
  for (const [text, wanted] of cases) {
    assertEquals(await one(text, ADVERSARIES["capitals"]!), wanted);
  }
  const moved = table({
    "See <b>Chapter 12</b> for more.": "",
    "See Chapter 12 for more.": "Mehr steht in Kapitel 12 dort.",
    "Chapter 12": "Kapitel 12",
  });
  assertEquals(
    await one("See <b>Chapter 12</b> for more.", moved),
    "Mehr steht in <b>Kapitel 12</b> dort.",
  );
});

Deno.test("elements that are marked as kept are, whatever the translator does", async () => {
  const kept = [
    "<kbd>Enter</kbd>",
    '<span translate="no">Acme word</span>',
    "<b class='a notranslate'>x <i>y</i> z</b>",
    "<i translate=NO>f <code>g</code></i>",
  ];
  const text = `Press ${kept.join(" or ")} to go.`;
  assertEquals(
    await one(text, ADVERSARIES["capitals"]!),
    `PRESS ${kept.join(" OR ")} TO GO.`,
  );
  for (const [name, translate] of Object.entries(ADVERSARIES)) {
    const out = await one(text, translate);
    for (const element of kept) assert(out.split(element).length === 2, `${name}: ${out}`);
  }
  const other = `Read <i title="translate='no'">this one</i> and <b data-translate="no">that</b>`;
  assertEquals(
    await one(other, ADVERSARIES["capitals"]!),
    `READ <i title="translate='no'">THIS ONE</i> AND <b data-translate="no">THAT</b>`,
  );
});

Deno.test("an element over several sentences stays over them", async () => {
  const out = await one("One two. <b>Three four. Five</b> six.", ADVERSARIES["capitals"]!);
  assertEquals(out, "ONE TWO. <b>THREE FOUR. FIVE</b> SIX.");
});

Deno.test("ICU arguments keep their structure; messages in them are translated", async () => {
  const text =
    "{n, plural, offset:1 =0 {No files} one {# file in {dir}} other {It''s {g, select, a {x y} other {z}}}}!";
  const out = await one(
    text,
    (texts) => Promise.resolve(texts.map((t) => t.replace(/file|No/g, (w) => `L'${w}`))),
  );
  assertEquals(
    out,
    "{n, plural, offset:1 =0 {L'No L'files} one {# L'file in {dir}} other {It''s {g, select, a {x y} other {z}}}}!",
  );
  const quoted = await one(
    "{n, plural, one {de {x}} other {de}}",
    (texts) => Promise.resolve(texts.map((t) => t.replace(/de ?/, "l'"))),
  );
  assertEquals(quoted, "{n, plural, one {l''{x}} other {l''}}");
});

Deno.test("glossary terms are there, in the case of the text", async () => {
  const glossary = readGlossary([
    { source: "file", target: "Akte" },
    { source: "file system", target: "Ablage" },
    { source: "NASA", target: "NASA" },
  ]);
  const options = { ...OPTIONS, glossary };
  for (const [name, translate] of Object.entries(ADVERSARIES)) {
    const out = await one(
      "The file is in the file system, FILE by profile. NASA says so.",
      translate,
      options,
    );
    const found = new Set(out.match(/\b(?:Akte|AKTE|Ablage|NASA)\b/g));
    assertEquals([...found].sort(), ["AKTE", "Ablage", "Akte", "NASA"], `${name}: ${out}`);
    assert(!/\bfile\b/.test(out), out);
  }
  const natural = await one(
    "Open the file.",
    table({ "Open the file.": "Öffnen Sie die Akte." }),
    options,
  );
  assertEquals(natural, "Öffnen Sie die Akte.");
  const inPlace = await one(
    "Open the file.",
    table({
      "Open the file.": "Öffnen Sie die Datei.",
      "Open the Akte.": "Öffnen Sie die Akte.",
    }),
    options,
  );
  assertEquals(inPlace, "Öffnen Sie die Akte.");
});

Deno.test("sentences end where DeepL's split_sentences says", async () => {
  const text = "One\nbig. Two such.\nThree";
  const asked = async (splitSentences: "off" | "on" | "nonewlines") => {
    const texts: string[] = [];
    await one(text, (t) => Promise.resolve((texts.push(...t), [...t])), {
      ...OPTIONS,
      splitSentences,
    });
    return texts;
  };
  assertEquals(await asked("on"), ["One", "big.", "Two such.", "Three"]);
  assertEquals(await asked("nonewlines"), ["One big.", "Two such.", "Three"]);
  assertEquals(await asked("off"), ["One big. Two such. Three"]);
});

Deno.test("what has no words is not asked for", async () => {
  const none: TranslateTexts = () => Promise.reject(new Error("asked"));
  for (const text of ["", "  \n", "%s: {0}", "https://a.b/ 12", "<b>{x}</b>", "…"]) {
    assertEquals(await one(text, none), text);
  }
});

Deno.test("an abort ends it, and a translator's fault is not swallowed", async () => {
  const aborted = AbortSignal.abort(new RangeError("gone"));
  await assertRejects(
    () => one("a b", ADVERSARIES["identity"]!, { ...OPTIONS, signal: aborted }),
    RangeError,
    "gone",
  );
  await assertRejects(() => one("a b", () => Promise.resolve([])), RangeError, "1 texts have 0");
});

Deno.test("many tags and deep nests keep their places, and calls stay within their bounds", async () => {
  const deep = `${"<b>".repeat(500)}deep words${"</b>".repeat(500)}`;
  const wide = "<i>a b</i> ".repeat(500);
  for (const text of [deep, wide]) {
    const out = await one(text, (texts) => {
      assert(texts.length <= 64);
      return ADVERSARIES["capitals"]!(texts, undefined);
    });
    assertEquals(out, text.replace(/>[^<>]+</g, (t) => t.toUpperCase()));
  }
});

Deno.test("a number whose thousands are apart is one number, with the spaces that it had", async () => {
  const spaced: TranslateTexts = (texts) =>
    Promise.resolve(
      texts.map((t) => t.replace(/[\u00a0\u202f\u2009'’]/g, " ").split(" ").reverse().join(" ")),
    );
  for (
    const number of ["10\u00a0000", "1\u202f234\u202f567,89", "1'234", "1’234’567", "10\u2009000"]
  ) {
    assertEquals(
      await one(`It is ${number} km and 1 long`, spaced).then((out) => out.split(number).length),
      2,
    );
    for (const [name, translate] of Object.entries(ADVERSARIES)) {
      const out = await one(`It is ${number} km and 1 long`, translate);
      assertEquals(out.split(number).length, 2, `${name}: ${out}`);
    }
  }
});

Deno.test("breaks and blocks in a message end a sentence; a tag to fill in is a word", async () => {
  const asked: string[] = [];
  const translate: TranslateTexts = (texts) => {
    asked.push(...texts);
    return Promise.resolve(texts.map((t) => t.toUpperCase()));
  };
  const cases: [string, string, string[]][] = [
    ["First line<br>Second line", "FIRST LINE<br>SECOND LINE", ["First line", "Second line"]],
    ["One<br/>two<BR />three", "ONE<br/>TWO<BR />THREE", ["One", "two", "three"]],
    ["<p>One</p><p class='a'>Two</p>", "<p>ONE</p><p class='a'>TWO</p>", ["One", "Two"]],
    ["<ul><li>one</li><li>two</li></ul>", "<ul><li>ONE</li><li>TWO</li></ul>", ["one", "two"]],
    ['<p translate="no">a</p><p>b</p>', '<p translate="no">a</p><p>B</p>', ["b"]],
    ["Copy <source> to <target-dir>, ok", "COPY <source> TO <target-dir>, OK", [
      "Copy <source> to <target-dir>, ok",
    ]],
    ["<b>open", "<b>OPEN", ["open"]],
  ];
  for (const [text, wanted, texts] of cases) {
    asked.length = 0;
    for (const splitSentences of ["on", "nonewlines", "off"] as const) {
      assertEquals(await one(text, translate, { ...OPTIONS, splitSentences }), wanted);
    }
    assertEquals([...new Set(asked)], texts);
    for (const [name, adversary] of Object.entries(ADVERSARIES)) {
      const out = await one(text, adversary);
      const tags = (t: string) => t.match(/<[^<>]*>/g)!.sort();
      assertEquals(tags(out), tags(text), `${name}: ${out}`);
    }
  }
  // Around a break an element stays around both.
  assertEquals(await one("<b>a word<br>two</b> end", translate), "<b>A WORD<br>TWO</b> END");
});

Deno.test("a mark behind a word stays behind a word", async () => {
  const out = await one(
    'A<x id="1"/> and 5',
    (texts) => Promise.resolve(texts.map((t) => t.toUpperCase())),
  );
  assertEquals(out, 'A<x id="1"/> AND 5');
});
