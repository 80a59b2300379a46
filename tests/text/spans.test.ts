/** What must be kept in a text: found whole, and there afterwards whatever a translator does. */
import { assertEquals } from "@std/assert";
import { findSpans } from "../../src/text/rich/spans.ts";
import { translateStrings } from "../../src/text/strings.ts";
import { ADVERSARIES, pick, random } from "./adversaries.ts";

function spansOf(text: string): string[] {
  return findSpans(text).filter((s) => s.kind !== "number").map((s) => text.slice(s.start, s.end))
    .sort();
}

Deno.test("what must be kept is found, and its ends are right", () => {
  const cases: [string, string[]][] = [
    ["Hello {{name}}, {0} of {count} at ${price}", ["{{name}}", "{0}", "{count}", "${price}"]],
    ["%s: %1$s %(name)s %d%% %.2f %-5ld %1 %L2", [
      "%s",
      "%1$s",
      "%(name)s",
      "%d",
      "%%",
      "%.2f",
      "%-5ld",
      "%1",
      "%L2",
    ]],
    ["See https://a.b/c?d=e&f=(g). Or (http://x.y/z), www.q.org!", [
      "https://a.b/c?d=e&f=(g)",
      "http://x.y/z",
      "www.q.org",
    ]],
    ["Mail a.b+c@d-e.example, please.", ["a.b+c@d-e.example"]],
    ["Use `ls -l` or ``a ` b`` with --long-option in /usr/share/doc", [
      "`ls -l`",
      "``a ` b``",
      "--long-option",
      "/usr/share/doc",
    ]],
    ["3.14, 1,000 and 12:30 on 2024-01-05; x86 UTF8", ["3.14", "1,000", "12:30", "2024-01-05"]],
    ["See $t(menu.open, x) and $t() or t(a)", ["$t(menu.open, x)", "$t"]],
    ["100 % sure, 5 o'clock, and/or", ["100", "5"]],
    [
      "a &amp; b &#39; <b>c</b>",
      ["&amp;", "&#39;", "39"].filter((x) => x !== "39").concat(["<b>", "</b>"]),
    ],
  ];
  for (const [text, expected] of cases) {
    assertEquals(findSpans(text).map((s) => text.slice(s.start, s.end)), expected, text);
  }
});

Deno.test("whatever the translator does, spans and tags are there as often as before", async () => {
  const next = random(11);
  const pieces = [
    "the file",
    "could not be opened",
    "Save",
    "all changes",
    "in",
    "{name}",
    "{{ user.name }}",
    "%s",
    "%d",
    "%1$s",
    "https://example.org/a?b=c",
    "me@example.org",
    "`code span`",
    "3.14",
    "42",
    "<b>bold</b>",
    "<a href='x'>a <i>deep</i> link</a>",
    "<br/>",
    "<br>",
    "</p>",
    "<i>",
    ". The next",
    "? Why",
    "\n",
    "\n\n",
    "--force",
    "/etc/passwd.d/x",
    "${HOME}",
    "<code>int x</code>",
    "&nbsp;",
    "{n, plural, one {# file} other {# new files}}",
    "Grüße",
    "日本語",
    "\u00a0",
    "'",
    '"',
  ];
  for (let round = 0; round < 250; round++) {
    const text = Array.from({ length: 1 + Math.floor(next() * 12) }, () => pick(next, pieces)).join(
      " ",
    );
    for (const [name, translate] of Object.entries(ADVERSARIES)) {
      const out = (await translateStrings([text], translate, { source: "en", target: "de" }))[0]!;
      assertEquals(spansOf(out), spansOf(text), `${name}: ${text}\n-> ${out}`);
      assertEquals(out.split("\n").length, text.split("\n").length, `${name}: ${text}\n-> ${out}`);
      assertNested(out, text, name);
    }
  }
});

/** Tags of the output nest as deep as those of the input and have the same parents. */
function assertNested(out: string, text: string, name: string): void {
  const parents = (t: string) => {
    const stack: string[] = [], found: string[] = [];
    for (const [tag, slash, element] of t.matchAll(/<(\/?)([a-z]+)[^<>]*>/g)) {
      if (tag.endsWith("/>") || /^<\/?br|^<\/p/.test(tag)) continue;
      if (slash === "") {
        found.push(`${stack.join("/")}/${element}`);
        stack.push(element!);
      } else if (stack.includes(element!)) {
        while (stack.at(-1) !== element) stack.pop();
        stack.pop();
      }
    }
    return found.sort();
  };
  // A stray <i> makes parents a matter of place; such texts are judged by their spans alone.
  if ((text.match(/<i>/g) ?? []).length !== (text.match(/<\/i>/g) ?? []).length) return;
  assertEquals(parents(out), parents(text), `${name}: ${text}\n-> ${out}`);
}
