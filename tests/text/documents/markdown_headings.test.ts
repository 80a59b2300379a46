/** Links to a document's own headings follow the headings' words; names that were given stay. */
import { assertEquals } from "@std/assert";
import { followHeadings } from "../../../src/text/documents/markdown_headings.ts";
import { translateDocument } from "../../../src/text/documents/translate.ts";
import { ADVERSARIES } from "../adversaries.ts";
import { assertProportional } from "../work.ts";

const WORDS: Readonly<Record<string, string>> = {
  Contents: "Inhalt",
  Installation: "Einrichtung",
  "Getting started": "Erste Schritte: für alle",
  Usage: "Benutzung",
  "See also": "Siehe auch",
};

/** Translates what is in WORDS, the words alone between marks. */
async function german(text: string): Promise<string> {
  const { bytes } = await translateDocument(
    new TextEncoder().encode(text),
    "markdown",
    (texts) => Promise.resolve(texts.map((t) => WORDS[t] ?? t)),
    { source: "en", target: "de" },
  );
  return new TextDecoder().decode(bytes);
}

Deno.test("a table of contents leads to the translated headings", async () => {
  const text = `---
title: "# Usage"
---
# Contents

- [Installation](#installation)
- [Getting started](<#getting-started> "a title")
- [Usage][u], [again](#usage-1), [no heading](#nowhere), [elsewhere](a.md#usage)

[u]: #usage

## Installation
## Getting started
Usage
-----
\`\`\`md
## Usage
[Usage](#usage)
\`\`\`
### Usage
`;
  const wanted = text
    .replace("# Contents", "# Inhalt")
    .replace("- [Installation](#installation)", "- [Einrichtung](#einrichtung)")
    .replace("[Getting started](<#getting-started>", "[X](<#erste-schritte-für-alle>")
    .replace("[X]", "[Erste Schritte: für alle]")
    .replace("[Usage][u]", "[Benutzung][u]").replace("[u]: #usage", "[u]: #benutzung")
    .replace("#usage-1", "#benutzung-1")
    .replace("## Installation", "## Einrichtung")
    .replace("## Getting started", "## Erste Schritte: für alle")
    .replace("Usage\n-----", "Benutzung\n-----").replace("### Usage", "### Benutzung");
  assertEquals(await german(text), wanted);
  const crlf = (lines: string) => lines.replaceAll("\n", "\r\n");
  assertEquals(await german(crlf(text)), crlf(wanted));
});

Deno.test("links of HTML follow, links to a name that was given do not", async () => {
  const text = `<p align="center"><a class="x" href="#usage">x</a> · <a href='#see-also'>y</a></p>

x <a href=#usage>x</a> [x](#installation) [x](#contents)

## Usage
## See also
## Installation {#installation}
<a id="contents"></a>
## Contents
`;
  assertEquals(
    await german(text),
    text.replaceAll("#usage", "#benutzung").replace("#see-also", "#siehe-auch")
      .replace("## Usage", "## Benutzung").replace("## See also", "## Siehe auch")
      .replace("## Installation", "## Einrichtung").replace("## Contents", "## Inhalt"),
  );
});

Deno.test("headings are called as GitHub calls them", () => {
  const headings: [string, string][] = [
    ["The `--config` option & *more*", "the---config-option--more"],
    ["What's **new** in [v2.0](x.md)?", "whats-new-in-v20"],
    ["Ärger mit dem Maß", "ärger-mit-dem-maß"],
    ["snake_case &amp; \\*stars\\*", "snake_case--stars"],
    ["🚀 Start <sub>now</sub> ![logo](l.png)", "-start-now"],
  ];
  for (const [heading, slug] of headings) {
    const source = `# ${heading}\n\n[x](#${encodeURIComponent(slug)}) [y](#${slug})\n`;
    assertEquals(
      followHeadings(source, source.replace(heading, "Neu")),
      "# Neu\n\n[x](#neu) [y](#neu)\n",
      heading,
    );
  }
});

Deno.test("links stay where no heading's words changed, whatever the translator does", async () => {
  const text = "# Open the file\n\n[one](#open-the-file) [two](#other) [three](#%E0%A4%A)\n";
  const bytes = new TextEncoder().encode(text);
  for (const [name, translate] of Object.entries(ADVERSARIES)) {
    const done = await translateDocument(bytes, "markdown", translate, {
      source: "en",
      target: "de",
    });
    const out = new TextDecoder().decode(done.bytes), [heading] = out.split("\n");
    const links = [...out.matchAll(/\]\(#([^)]*)\)/g)].map(([, link]) => link);
    assertEquals(links.toSorted().slice(0, 1), ["%E0%A4%A"], name);
    assertEquals(links.includes("other"), true, name);
    assertEquals(links.includes("open-the-file"), /^# open the file$/i.test(heading!), name);
  }
  assertEquals(followHeadings("# a\n[x](#a)\n", "# b\n# c\n[x](#a)\n"), "# b\n# c\n[x](#a)\n");
});

Deno.test("work is proportional to a document with many headings and links", async () => {
  await assertProportional("headings and links", 8_000, (n) => {
    const text = "# One\n\n[x](#one) <a href='#one' id=\"\n\n".repeat(n / 36);
    followHeadings(text, text.replaceAll("One", "Two"));
  });
});
