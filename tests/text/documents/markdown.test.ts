/** Markdown: long lists and tables, what is kept in a line, and hostile texts that its parser alone would be slow on. */
import { assert, assertEquals } from "@std/assert";
import type { TranslateTexts } from "../../../src/text/documents/contract.ts";
import { markdownParts } from "../../../src/text/documents/markdown.ts";
import { translateDocument } from "../../../src/text/documents/translate.ts";
import { ADVERSARIES } from "../adversaries.ts";
import { assertProportional } from "../work.ts";
import { skeletonOf } from "./skeletons.ts";

const OPTIONS = { source: "en", target: "de" };
const CAPITALS = ADVERSARIES["capitals"]!;

async function markdown(text: string, translate: TranslateTexts = CAPITALS): Promise<string> {
  const bytes = new TextEncoder().encode(text);
  return new TextDecoder().decode(
    (await translateDocument(bytes, "markdown", translate, OPTIONS)).bytes,
  );
}

Deno.test("a link keeps the numbers in its text, and takes in no mark that was beside it", async () => {
  assertEquals(await markdown("See [version 5](u) now\n"), "SEE [VERSION 5](u) NOW\n");
  const marks = "In [the `x`](u), **a (b)**, and it ([#5](v)).\n";
  assertEquals(await markdown(marks), "IN [THE `x`](u), **A (B)**, AND IT ([#5](v)).\n");
});

Deno.test("elements of code and those marked as kept stay, whatever the translator does", async () => {
  const kept = [
    "<kbd>Enter</kbd>",
    "<code>open file</code>",
    '<span translate="no">Acme *word*</span>',
    "<b class='notranslate'>x <b>y</b> z</b>",
    "<i lang=fr>bon jour</i>",
    "<samp>one  \ntwo</samp>",
  ];
  const text = `Press ${kept.join(" or ")} to run.\n`;
  assertEquals(await markdown(text), `PRESS ${kept.join(" OR ")} TO RUN.\n`);
  for (const [name, translate] of Object.entries(ADVERSARIES)) {
    const out = await markdown(text, translate);
    for (const element of kept) assert(out.split(element).length === 2, `${name}: ${out}`);
    assertEquals(skeletonOf(out, "markdown"), skeletonOf(text, "markdown"), `${name}: ${out}`);
  }
  assertEquals(await markdown("a <kbd>b *c* d\n"), "A <kbd>B *C* D\n");
  assertEquals(await markdown("> a <kbd>b\n> c</kbd> d\n"), "> A <kbd>b\n> c</kbd> D\n");
});

Deno.test("long lists and tables are translated, however many marks they have", async () => {
  const lines: [string, string, number][] = [
    [
      "- [Item name](http://e.x/1) is a nice tool\n",
      "- [ITEM NAME](http://e.x/1) IS A NICE TOOL\n",
      310,
    ],
    ["| `x` and | *one* `two` |\n", "| `x` AND | *ONE* `two` |\n", 400],
    ["# *One* `two` __three__\n", "# *ONE* `two` __THREE__\n", 200],
  ];
  for (const [line, wanted, count] of lines) {
    const head = line.startsWith("|") ? ["| a | b |\n|---|---|\n", "| A | B |\n|---|---|\n"] : [];
    const text = (head[0] ?? "") + line.repeat(count);
    assertEquals(await markdown(text), (head[1] ?? "") + wanted.repeat(count));
  }
});

Deno.test("a paragraph with too many marks is kept; code, comments and labels beside it are what they are", async () => {
  const maze = `- a ${"*b* ".repeat(400)}c`;
  const beside = "\n- some text\n  ```\n  code here\n  ```\n<!-- a note -->\nfollowing text";
  const labels = "\n\n[the label]: /u\n\n[the label] is it\n";
  assertEquals(
    await markdown(maze + beside + labels),
    maze + beside.replace("some text", "SOME TEXT").replace("following text", "FOLLOWING TEXT") +
      labels.replace("[the label] is it", "[THE LABEL][the label] IS IT"),
  );
  const deep = Array.from({ length: 60 }, (_, i) => `${" ".repeat(2 * i)}- a word\n\n`);
  const out = (await markdown(deep.join(""))).split(/(?<=\n\n)/);
  assertEquals(out.map((l) => l.toLowerCase()), deep);
  assertEquals(out.findIndex((line, i) => line === deep[i]), 40);
  const quotes = `${"> ".repeat(100)}a word\n`;
  assertEquals(await markdown(`${quotes}\nanother\n`), `${quotes}\nANOTHER\n`);
});

Deno.test("runs of spaces stay, and a break of a line stays a break", async () => {
  for (const text of [`A${" ".repeat(500)}B`, "A   \nB", "A \nB", "A  B  \nC"]) {
    const out = await markdown(`${text.toLowerCase()}\n`);
    assertEquals(out.replace(/\s+/g, " "), `${text} `.replace(/\s+/g, " "));
    assertEquals(/ {2}\n./.test(out), / {2}\n./.test(text), out);
  }
});

Deno.test("what the parser would be slow on takes work in proportion", async () => {
  const lines = (n: number, start: string) => start + "\na".repeat(n / 2);
  const shapes: Record<string, (n: number) => string> = {
    "spaces in a line": (n) => `a${" ".repeat(n)}x`,
    "spaces before a line": (n) => `a\nb|\n${" ".repeat(n)}x`,
    "lists by indentation": (n) =>
      Array.from({ length: Math.sqrt(n) }, (_, i) => `${" ".repeat(2 * i)}- a\n\n`).join(""),
    "lists in a line": (n) => "- ".repeat(n / 2),
    "a label without an end": (n) => lines(n, "["),
    "a title without an end": (n) => lines(n, '[a]: b "'),
    "a quote in emphasis": (n) => `> *a${"\n> a".repeat(n / 4)}*`,
    "an address of brackets": (n) => `http://a.b/${")".repeat(n)}`,
    "an address of one label": (n) => `http://${"a".repeat(n)}.b.c`,
    "addresses": (n) => "http://a.b ".repeat(n / 11),
    "numbers that begin no list": (n) => `a\n${"2. *a\n".repeat(n / 6)}`,
    "kept elements": (n) => "<kbd>a</kbd> <kbd>".repeat(n / 18),
  };
  for (const [name, shape] of Object.entries(shapes)) {
    await assertProportional(name, 8_000, (n) => markdownParts(shape(n), OPTIONS));
  }
});

Deno.test("lines that extensions read stay lines: footnotes, definitions, admonitions, attributes, tags, formulas", async () => {
  const text =
    ":::tip Keep\nUse this\nand that.\n:::\n\n!!! note\n    Take care.\n\nSome text\n{: .lead }\n\n" +
    "{% note %}\nInside it.\n{% endnote %}\n\n[^1]: A note here.\n[^b]: Word\n\nA term\n: It is so.\n\n" +
    "$$\nx_1 + y\n$$\n\n- an item\n  [^2]: note it\r\n  : so\n";
  const wanted = text.replace(
    /Use this\nand that|Take care|Some text|Inside it|A note here|Word|A term|It is so|an item|note it|so$/gm,
    (words) => words.toUpperCase().replace("\n", " "),
  );
  assertEquals(await markdown(text), wanted);
  for (const [name, translate] of Object.entries(ADVERSARIES)) {
    const out = await markdown(text, translate);
    for (const line of wanted.split("\n").filter((l) => /^ *(?::::|!|\{|\$)/.test(l))) {
      assert(out.split("\n").includes(line), `${name}: ${line}\n${out}`);
    }
    for (const mark of ["[^1]: ", "[^b]: ", ": "]) {
      assert(out.includes(`\n${mark}`), `${name}: ${out}`);
    }
  }
  // Emphasis that goes on behind such a line is not torn.
  assertEquals(await markdown("One *two\n: three* four\n"), "ONE *TWO : THREE* FOUR\n");
  const lines = (n: number) => `a\n${": b\n".repeat(n)}`;
  await assertProportional("own lines", 4000, (n) => markdownParts(lines(n), OPTIONS));
});

Deno.test("breaks and blocks of HTML in a line end what is translated together; a tag to fill in is a word", async () => {
  const text = "| a |\n|---|\n| one<br>two |\n| <ul><li>one</li><li>two</li></ul> |\n\n" +
    "a word<br/>line two<br>\nline *three<br>four* x.\n\n> See <file> here[^1] and<br>\n> there\n";
  const asked: string[] = [];
  const out = await markdown(
    text,
    (texts, signal) => (asked.push(...texts), CAPITALS(texts, signal)),
  );
  assertEquals(out, text.replace(/[a-z]\w*(?![^<>\n]*>)/g, (word) => word.toUpperCase()));
  assert(asked.includes("one") && asked.includes("two") && !asked.includes("onetwo"));
});

Deno.test("a heading keeps its name and its class at its end", async () => {
  const text =
    "# The title {#the-title}\n\nA title {#b .c}\n---\n\n## Last one {.note} ##\n\n# {#only}\n";
  const wanted =
    "# THE TITLE {#the-title}\n\nA TITLE {#b .c}\n---\n\n## LAST ONE {.note} ##\n\n# {#only}\n";
  assertEquals(await markdown(text), wanted);
  for (const [name, translate] of Object.entries(ADVERSARIES)) {
    const lines = (await markdown(text, translate)).split("\n");
    assert(lines[0]!.endsWith(" {#the-title}"), `${name}: ${lines}`);
    assert(lines[2]!.endsWith(" {#b .c}"), `${name}: ${lines}`);
  }
});

Deno.test("an element that is kept may hold blocks: what is in it stays, what is behind it does not", async () => {
  const kept =
    '<div class="notranslate">\n\nOpen File is a name.\n\n- a list\n\n<p>a page</p>\n\n</div>';
  assertEquals(
    await markdown(`before\n\n${kept} after\n\nend\n`),
    `BEFORE\n\n${kept} AFTER\n\nEND\n`,
  );
  const quoted = '> <div translate="no">\n>\n> a quote\n>\n> </div>\n>\n> end\n';
  assertEquals(await markdown(quoted), quoted.replace("end", "END"));
  const nested = '<div lang="fr">\n\n<div>\n\nun\n\n</div>\n\ndeux\n\n</div>\n\nthree\n';
  assertEquals(await markdown(nested), nested.replace("three", "THREE"));
  assertEquals(
    await markdown('<div translate="no">\n\nnot closed\n'),
    '<div translate="no">\n\nNOT CLOSED\n',
  );
});

Deno.test("HTML in a quote keeps the quote's marks, and ends at the quote's blank lines", async () => {
  const details =
    "> <details>\n> <summary>Short <b>x</b></summary>\n>\n> **text** here\n>\n> </details>\n>\n> end\n";
  assertEquals(
    await markdown(details),
    details.replace("Short <b>x", "SHORT <b>X").replace("text", "TEXT").replace("here", "HERE")
      .replace("> end", "> END"),
  );
  assertEquals(await markdown("> <p>one\n> two</p>\n"), "> <p>ONE\n> TWO</p>\n");
  const block = '> <div\n> title="in two lines">\n> text\n\nout\n';
  assertEquals(await markdown(block), block.replace("out", "OUT"));
});

Deno.test("kept elements and quoted HTML that are hostile take work in proportion", async () => {
  for (const unit of ['<div translate="no">\n\n', "<div>\n\n</div>\n\n", "> <div>\n", "> <div\n"]) {
    await assertProportional(unit, 500, (n) => markdownParts(unit.repeat(n), OPTIONS));
  }
});

Deno.test("lines of a quote become one, with one space where they met", async () => {
  assertEquals(
    await markdown("> **Note:** A b.\n> C d e.\n>  more *x\n> y* z.\n"),
    "> **NOTE:** A B. C D E. MORE *X Y* Z.\n",
  );
  assertEquals(await markdown("> > a b\n> > c\n\n- > d\n  > e\n"), "> > A B C\n\n- > D E\n");
});

Deno.test("a file whose lines end in CR LF is read as another, and written so", async () => {
  const folder = new URL("../corpus/", import.meta.url);
  const names = [...Deno.readDirSync(folder)].map((e) => e.name).filter((n) => n.endsWith(".md"));
  assert(names.length > 0);
  const texts = names.map((name) => Deno.readTextFileSync(new URL(name, folder)));
  for (const text of [...texts, "<br>\n\n## A b\n\n| c |\n|---|\n| d |\n\ne  \nf\\\ng\n"]) {
    const lines = text.replaceAll("\r\n", "\n"), expected = await markdown(lines);
    assertEquals(
      await markdown(lines.replaceAll("\n", "\r\n")),
      expected.replaceAll("\n", "\r\n"),
    );
  }
});

Deno.test("images: a label gets written out, spaces are outside of links, brackets and quotes stay with words", async () => {
  const same = [
    "Built with [![Deno](b.svg)](u) and love.\n",
    "Status ![ok](x.svg) ✅ tested well.\n",
    "The logo ![logo](a.png) (beta) is here.\n",
    'An icon ![gear](g.png) "Settings" is here.\n',
  ];
  for (const text of same) {
    const words = text.replace(/\(\w+\.\w+\)|\(u\)/g, (url) => url.toUpperCase());
    assertEquals((await markdown(text)).toUpperCase(), words.toUpperCase());
  }
  const heads = "[![Build]][ci] ![logo] Fast text.\n\n[ci]: a\n[build]: b\n[logo]: c\n";
  assertEquals(
    await markdown(heads),
    heads.replace(
      "[![Build]][ci] ![logo] Fast text",
      "[![BUILD][Build]][ci] ![LOGO][logo] FAST TEXT",
    ),
  );
  assertEquals(await markdown("![Terms & snake_case](a.png)\n"), "![TERMS & SNAKE_CASE](a.png)\n");
});

Deno.test("what looks like a placeholder over a tag keeps its words", async () => {
  const text = "Returns Promise<[Response](r.md)> when done, see {**name**} or www.*x*.org\n";
  const identity: TranslateTexts = (texts) => Promise.resolve([...texts]);
  assertEquals(await markdown(text, identity), text);
  assertEquals(
    await markdown(
      "**✨ New** things ✨\n",
      (texts) => Promise.resolve(texts.map((t) => t === "New things" ? "Things are New" : t)),
    ),
    "✨ Things are **New** ✨\n",
  );
});
