import { assertEquals, assertThrows } from "@std/assert";
import { filled, made as madeOf } from "./document.ts";

const part = (name: string, text: string) => ({ name, heading: `## ${name}`, text });
const made = (name: string, text: string) => `<!-- made: ${name} -->\n\n${text}\n\n<!-- end -->`;

Deno.test("what people wrote around a table stays, byte for byte", () => {
  const before = `# Title\n\nwords\n\n${made("a", "| old |")}\n\nmore $& words\n`;
  assertEquals(
    filled(before, [part("a", "| $1 new |")]),
    `# Title\n\nwords\n\n${made("a", "| $1 new |")}\n\nmore $& words\n`,
  );
});

Deno.test("a part that the file has not goes to its end, one that was not made stays", () => {
  const before = `# Title\n\n${made("a", "| old |")}\n`;
  assertEquals(filled(before, [part("b", "| b |")]), `${before}\n## b\n\n${made("b", "| b |")}\n`);
});

Deno.test("an empty file gets every part, and the same parts again change nothing", () => {
  const parts = [part("a", "x"), part("b", "y")];
  const once = filled("", parts);
  assertEquals(once, `## a\n\n${made("a", "x")}\n\n## b\n\n${made("b", "y")}\n`);
  assertEquals(filled(once, parts), once);
});

Deno.test("what a part holds is read back as it was given", () => {
  const document = filled("# Title\n", [part("a", "x\n\ny"), part("b", "z")]);
  assertEquals(["a", "b", "c"].map((name) => madeOf(document, name)), ["x\n\ny", "z", ""]);
});

Deno.test("a comment that nothing closes is refused before anything is lost", () => {
  assertThrows(() => filled("<!-- made: a -->\nwords", []), Error, "<!-- end -->");
  const nested = "<!-- made: a -->\nwords\n<!-- made: b -->\n<!-- end -->";
  assertThrows(() => filled(nested, []), Error, "<!-- end -->");
});
