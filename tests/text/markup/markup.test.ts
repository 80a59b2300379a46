/** HTML and XML: structure and kept bytes against adversaries, and what is translated and what is not. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { MoqeError } from "../../../src/base/errors.ts";
import type {
  MarkupKind,
  MarkupOptions,
  TranslateTexts,
} from "../../../src/text/documents/contract.ts";
import type { MarkupEvent } from "../../../src/text/markup/events.ts";
import { htmlEvents } from "../../../src/text/markup/html.ts";
import { translateMarkup } from "../../../src/text/markup/translate.ts";
import { xmlEvents } from "../../../src/text/markup/xml.ts";
import { ADVERSARIES, pick, random } from "../adversaries.ts";
import { assertProportional } from "../work.ts";

const OPTIONS: MarkupOptions = { source: "en", target: "de" };
const CAPITALS = ADVERSARIES["capitals"]!;

async function html(text: string, options: Partial<MarkupOptions> = {}): Promise<string> {
  return await translateMarkup(text, "html", CAPITALS, { ...OPTIONS, ...options });
}

async function xml(text: string, options: Partial<MarkupOptions> = {}): Promise<string> {
  return await translateMarkup(text, "xml", CAPITALS, { ...OPTIONS, ...options });
}

/** Every tag, comment and instruction with the elements around it, in no order. */
function skeleton(text: string, events: readonly MarkupEvent[]): string[] {
  const found: string[] = [], stack: string[] = [];
  for (const event of events) {
    if (event.kind === "text") continue;
    const raw = text.slice(event.start, event.end);
    if (event.kind === "close") {
      const at = stack.lastIndexOf(event.name);
      if (at !== -1) stack.length = at;
    }
    found.push(`${stack.join("/")} ${raw}`);
    if (event.kind === "open" && !event.empty) stack.push(event.name);
  }
  return found.sort();
}

/** A well-formed tree of inline and block elements. */
function tree(next: () => number, depth: number, names: readonly string[]): string {
  const parts = Array.from({ length: 1 + Math.floor(next() * 4) }, () => {
    const r = next();
    if (r < 0.35 || depth === 0) {
      return pick(next, [
        "the file",
        "Save",
        " is open. ",
        "all &amp; &lt;x&gt;",
        " %s ",
        "{name}",
        "\n  ",
        "Zwölf",
      ]);
    }
    if (r < 0.45) {
      return pick(next, [
        "<br/>",
        "<!-- a note -->",
        "<img src='x'/>",
        "<![CDATA[x <y> z]]>",
        "<?pi a?>",
      ]);
    }
    const name = pick(next, names);
    return `<${name}>${tree(next, depth - 1, names)}</${name}>`;
  });
  return parts.join(pick(next, ["", " "]));
}

for (const kind of ["html", "xml"] as const) {
  Deno.test(`${kind}: any translator leaves every tag in its element, once`, async () => {
    const next = random(kind === "html" ? 3 : 5);
    const names = ["b", "i", "a", "span", "p", "div", "li", "code"];
    const events = kind === "html" ? htmlEvents : xmlEvents;
    for (let round = 0; round < 50; round++) {
      const text = tree(next, 4, names);
      const expected = skeleton(text, events(text));
      for (const [name, translate] of Object.entries(ADVERSARIES)) {
        const out = await translateMarkup(text, kind, translate, OPTIONS);
        assertEquals(skeleton(out, events(out)), expected, `${name}\n${text}\n${out}`);
      }
      const same = await translateMarkup(text, kind, ADVERSARIES["identity"]!, OPTIONS);
      const words = (t: string) => t.replace(/<(?!!\[)[^>]*>|\s+/g, "");
      assertEquals(words(same), words(text));
    }
  });
}

Deno.test("tag soup comes out with the same tags in the same order", async () => {
  const next = random(9);
  const pieces = [
    "<b>",
    "</b>",
    "<i>",
    "</i>",
    "<p>",
    "</p>",
    "<table>",
    "<td>",
    "</div>",
    "text here",
    " and more. ",
    "<",
    "&",
    "a < b",
    "<!--",
    "-->",
    '<a href="',
    "'>",
    "</",
    "<br>",
    "<script>",
    "</script>",
    "&amp;",
    "<x",
  ];
  for (let round = 0; round < 200; round++) {
    const text = Array.from({ length: 12 }, () => pick(next, pieces)).join("");
    const tags = (t: string) =>
      htmlEvents(t).filter((e) => e.kind !== "text").map((e) => t.slice(e.start, e.end))
        .filter((raw) => raw !== "<").sort();
    const out = await translateMarkup(text, "html", ADVERSARIES["reversed"]!, OPTIONS);
    assertEquals(tags(out), tags(text), `${text}\n${out}`);
  }
});

Deno.test("scripts, styles, code, comments, doctypes and kept elements are untouched", async () => {
  const kept = `<!DOCTYPE html>\n<html lang="en"><head><style>p { color: red }</style>` +
    `<script>if (a < b && "text") alert("Hello </b> you")</script><!-- a comment --></head>`;
  const text = `${kept}<body><p>Read <code>a b</code> now</p><pre><code>two words</code></pre>` +
    `<p translate="no">not this</p><div class="x notranslate">nor <p>this</p></div>` +
    `<p>the <span translate=no>Foo Bar</span> thing</p></body></html>`;
  assertEquals(
    await html(text),
    `${kept}<body><p>READ <code>a b</code> NOW</p><pre><code>two words</code></pre>` +
      `<p translate="no">not this</p><div class="x notranslate">nor <p>this</p></div>` +
      `<p>THE <span translate=no>Foo Bar</span> THING</p></body></html>`,
  );
});

Deno.test("kept elements end where HTML ends them, with or without an end tag", async () => {
  const cases: [string, string][] = [
    [
      `<ul><li translate="no">one<li>two<li class=notranslate>three</ul>four`,
      `<ul><li translate="no">one<li>TWO<li class=notranslate>three</ul>FOUR`,
    ],
    [
      `<ul><li translate="no">one <ul><li>in it<li>too</ul> one<li>two</ul>`,
      `<ul><li translate="no">one <ul><li>in it<li>too</ul> one<li>TWO</ul>`,
    ],
    [`<p translate="no">one <b>two<p>three`, `<p translate="no">one <b>two<p>THREE`],
    [
      `<table><tr><td translate="no">one<table><tr><td>in</table><td>two<tr><td>three</table>`,
      `<table><tr><td translate="no">one<table><tr><td>in</table><td>TWO<tr><td>THREE</table>`,
    ],
    [
      `<div>a <span translate="no">one</div><p>two</p></span> three`,
      `<div>A <span translate="no">one</div><p>TWO</p></span> THREE`,
    ],
    [`<dl><dt lang="fr">un<dd>two</dl>`, `<dl><dt lang="fr">un<dd>TWO</dl>`],
    // What HTML opens again in the next paragraph, and stray end tags.
    [`<p><code>one</p><p>two</code> three</p>`, `<p><code>one</p><p>two</code> THREE</p>`],
    [
      `<div translate="no">one</b> two</p> three</div> four`,
      `<div translate="no">one</b> two</p> three</div> FOUR`,
    ],
  ];
  for (const [text, wanted] of cases) assertEquals(await html(text), wanted);
  const deep = `<p translate="no">${"<b>".repeat(20_000)}${"</i>".repeat(20_000)}<p>two`;
  assertEquals(await html(deep), deep.replace("two", "TWO"));
});

Deno.test("attributes are kept but for those that people read", async () => {
  const text =
    `<img src="a b.png" alt="two &quot;words&quot;" title='it is'><input type=submit value="send it" ` +
    `name="not this"><input type="text" value="kept value" placeholder=word><meta name="description" content="a page">` +
    `<meta name="viewport" content="width of device"><option label="one two">x</option>`;
  const out =
    `<img src="a b.png" alt="TWO &quot;WORDS&quot;" title='IT IS'><input type=submit value="SEND IT" ` +
    `name="not this"><input type="text" value="kept value" placeholder="WORD"><meta name="description" content="A PAGE">` +
    `<meta name="viewport" content="width of device"><option label="ONE TWO">X</option>`;
  assertEquals(await html(text), out);
  assertEquals(await html(text, { translateAttributes: false }), text.replace(">x<", ">X<"));
  const quotes = await translateMarkup(
    `<img alt='a b'>`,
    "html",
    (t) => Promise.resolve(t.map(() => `'"><x>`)),
    OPTIONS,
  );
  assert(!/alt='[^']*"><x>/.test(quotes) && htmlEvents(quotes).length === 1, quotes);
});

Deno.test("entities are read as characters and written as markup, symbols stay entities", async () => {
  assertEquals(
    await html("<p>caf&eacute; &amp; bar &lt;now&gt; &nbsp;ok &unknown; AT&T</p>"),
    "<p>CAFÉ &amp; BAR &lt;now&gt; \u00a0OK &unknown; AT&amp;T</p>",
  );
  assertEquals(await xml("<p>a &amp; b &#233; &#169;</p>"), "<p>A &amp; B É &#169;</p>");
  const symbols = "<p title='&copy; a'>&copy; a&trade; &rarr; b 20&deg;C &#8226; don&rsquo;t</p>";
  const wanted = "<p title='&copy; A'>&copy; A&trade; &rarr; B 20&deg;C &#8226; DON’T</p>";
  assertEquals(await html(symbols), wanted);
});

Deno.test("line breaks inside a paragraph are spaces, in pre they stay", async () => {
  const asked: string[] = [];
  const translate: TranslateTexts = (t) => Promise.resolve((asked.push(...t), [...t]));
  await translateMarkup(
    "<p>One\n  line here.\nTwo.</p><pre>Three\nfour</pre>",
    "html",
    translate,
    OPTIONS,
  );
  assertEquals(asked, ["One line here.", "Two.", "Three", "four"]);
});

Deno.test("XML: elements beside text are inline, others end a sentence; options say otherwise", async () => {
  const asked = async (text: string, options: Partial<MarkupOptions> = {}) => {
    const texts: string[] = [];
    const translate: TranslateTexts = (t) => Promise.resolve((texts.push(...t), [...t]));
    await translateMarkup(text, "xml", translate, { ...OPTIONS, ...options });
    return texts.sort();
  };
  const text = "<doc><title>A title</title><par>Some <em>mixed</em> text</par></doc>";
  assertEquals(await asked(text), ["A title", "Some mixed text", "mixed"]);
  assertEquals(await asked(text, { splittingTags: ["em"] }), ["A title", "Some", "mixed", "text"]);
  const lines = "<a><t>One two</t> <t>three four</t></a>";
  assertEquals(await asked(lines), ["One two", "three four"]);
  assert((await asked(lines, { nonSplittingTags: ["t"] })).includes("One two three four"));
  assert((await asked(lines, { outlineDetection: false })).includes("One two three four"));
  assertEquals(
    await xml(text, { ignoreTags: ["title"] }),
    "<doc><title>A title</title><par>SOME <em>MIXED</em> TEXT</par></doc>",
  );
  assertEquals(
    await xml(text.replace("<par>", '<par translate="no">')),
    '<doc><title>A TITLE</title><par translate="no">Some <em>mixed</em> text</par></doc>',
  );
});

Deno.test("elements in another language are kept, whatever the root says", async () => {
  const text =
    `<r xml:lang="fr"><p xml:lang="de">Guten Tag</p><p xml:lang="en-GB">day <i xml:lang="fr">bon jour</i></p></r>`;
  assertEquals(await xml(text), text.replace("day", "DAY"));
  const page =
    `<html lang="fr"><p lang="zh-Hant-TW">one</p><p lang="">two</p><p lang=EN>three</p></html>`;
  assertEquals(await html(page), page.replace("two", "TWO").replace("three", "THREE"));
});

Deno.test("XML: declarations, doctypes, CDATA and own entities are kept; nothing is expanded", async () => {
  const text =
    `<?xml version="1.0"?>\n<!DOCTYPE doc  [<!ENTITY product 'The "x]>" thing'> <!-- ]> -->]>\n` +
    `<doc a='b > c'>use &product; now<![CDATA[ <raw> ]]></doc>\n`;
  assertEquals(await xml(text), text.replace("use", "USE").replace("now", "NOW"));
  const bomb = `<!DOCTYPE b [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><b>funny &b; text</b>`;
  assertEquals(await xml(bomb), bomb.replace("funny", "FUNNY").replace("text", "TEXT"));
});

Deno.test("XML that is ill formed is refused, and the error says what is wrong", async () => {
  for (
    const text of [
      "<a>",
      "<a></b>",
      "<a b=c>x</a>",
      "a &nope; b",
      "<a>&</a>",
      "<a b='1' b='2'/>",
      "<?xml version='1.0'?>x",
    ]
  ) {
    const error = await assertRejects(() => xml(text), MoqeError, "well formed") as MoqeError;
    assertEquals(error.code, "bad_input", text);
  }
});

Deno.test("hostile markup takes work in proportion", async () => {
  const shapes: Record<string, (n: number) => string> = {
    "deep": (n) => "<b>".repeat(n) + "x" + "</b>".repeat(n),
    "open only": (n) => "<i>".repeat(n),
    "close only": (n) => "x</i>".repeat(n),
    "attributes": (n) => `<p ${Array.from({ length: n }, (_, i) => `a${i}=b`).join(" ")}>x</p>`,
    "comments": (n) => "<!--".repeat(n),
    "angle brackets": (n) => "<".repeat(n),
    "entities": (n) => "&a".repeat(n),
    "misnested": (n) => "<b><i>x</b></i> ".repeat(n),
    "names": (n) => Array.from({ length: n }, (_, i) => `<x${i}>`).join("") + "x",
    "blocks": (n) => "<p>".repeat(n) + "x",
  };
  for (const [name, shape] of Object.entries(shapes)) {
    for (const kind of ["html", "xml"] as MarkupKind[]) {
      await assertProportional(`${kind} ${name}`, 1_500, async (n) => {
        try {
          await translateMarkup(shape(n), kind, CAPITALS, OPTIONS);
        } catch (thrown) {
          if (!(thrown instanceof MoqeError)) throw thrown;
        }
      });
    }
  }
});
