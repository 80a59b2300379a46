/**
 * moqe translate with models that are prompted. Made-up weights say nothing: what is held is the structure, that what
 * must survive does, and that answers come in their places.
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { packChat, writeQwen3Chat, writeTinyChat } from "../support/chat_model.ts";
import { moqe } from "./moqe.ts";

let folder: string, qwen3: string, tiny: string, bare: string;
Deno.test.beforeAll(async () => {
  folder = await Deno.makeTempDir({ prefix: "moqe-test-" });
  qwen3 = await packChat(writeQwen3Chat, `${folder}/qwen3`);
  tiny = await packChat(writeTinyChat, `${folder}/tiny`, { pairs: "en-de,en-sw" });
  bare = await packChat(writeTinyChat, `${folder}/bare`, { hasTemplate: false });
});
Deno.test.afterAll(() => Deno.remove(folder, { recursive: true }));

const SEARCH = ["--threads", "1", "--beams", "1", "--max-tokens", "12"];
const translate = (model: string, args: string[], input?: string) =>
  moqe(["translate", "--model", model, ...SEARCH, ...args], input === undefined ? {} : { input });

Deno.test("lines keep their number, order and ends; what is no language survives", async () => {
  const kept = ["`foo_bar`", "%(name)s", "{count}", "https://example.org/a?b=c", "1,234.5"];
  const lines = [
    "Open the file.",
    "",
    "  ",
    ...kept.map((k) => `Open ${k} now.`),
    "Open the file.",
  ];
  for (const model of [qwen3, tiny, bare]) {
    const args = ["--from", "en", "--to", "de"];
    const { code, out, err } = await translate(model, args, `${lines.join("\n")}\n`);
    assertEquals([code, err], [0, ""]);
    const found = out.split("\n");
    assertEquals(found.length, lines.length + 1);
    assertEquals(found.slice(1, 3), ["", "  "]);
    assertEquals(found.at(-2), found[0], "equal lines have equal translations");
    assert(found[0] !== "" && found[0] !== lines[0], "the model wrote it");
    for (const [i, span] of kept.entries()) assertStringIncludes(found[3 + i]!, span);
    assertEquals((await translate(model, args, `${lines.join("\n")}\n`)).out, out);
    const batch = [...args, "--max-batch-tokens", "1"];
    assertEquals((await translate(model, batch, `${lines.join("\n")}\n`)).out, out);
  }
});

Deno.test("a Markdown file keeps its structure, its language found", async () => {
  const text = [
    "# Open the file",
    "",
    "Save `x y` and **close** [the page](https://a.b/c) now. There are {count} files.",
    "",
    "```sh",
    "npm run build",
    "```",
    "",
    "- First item of the list",
    "- Second item of the list",
    "",
  ].join("\n");
  const path = `${folder}/a.md`;
  await Deno.writeTextFile(path, text);
  const { code, err } = await translate(qwen3, ["--from", "auto", "--to", "de", path]);
  assertEquals([code, err], [0, ""]);
  const out = await Deno.readTextFile(`${folder}/a.de.md`);
  assertMatch(
    out,
    /^# [^\n]+\n\n[^\n]+\n\n```sh\nnpm run build\n```\n\n- [^\n]+\n- [^\n]+\n$/,
  );
  const line = out.split("\n")[2]!;
  for (const span of ["`x y`", "](https://a.b/c)", "{count}"]) assertStringIncludes(line, span);
  assertMatch(line, /\*\*[^*]+\*\*/);
});

Deno.test("a glossary's terms are kept to", async () => {
  const terms = `${folder}/terms.tsv`;
  await Deno.writeTextFile(terms, "window\tGlaspalast\n");
  const args = ["--from", "en", "--to", "de", "--glossary", terms];
  const { code, out } = await translate(qwen3, args, "Open the window now.\n");
  assertEquals(code, 0);
  assertStringIncludes(out, "Glaspalast");
});

Deno.test("languages are those of --pairs, else a list that every model is asked for", async () => {
  const swahili = await translate(tiny, ["--from", "en", "--to", "sw"], "Hello\n");
  assertEquals(swahili.code, 0, swahili.err);
  const none = await translate(tiny, ["--from", "en", "--to", "fr"], "Hello\n");
  assertEquals([none.code, none.out], [2, ""]);
  assertMatch(none.err, /is asked for en-de, en-sw; .*packed with --pairs/);
  const others = await translate(qwen3, ["--from", "en", "--to", "sw"], "Hello\n");
  assertEquals(others.code, 2);
  assertStringIncludes(others.err, "every pair of en, de, fr, es, it, pt, nl, pl, ru, zh-Hans, ja");
  const japanese = await translate(qwen3, ["--from", "ko", "--to", "ja"], "안녕\n");
  assertEquals(japanese.code, 0, japanese.err);
});

Deno.test("a context without room for an instruction and an answer is refused, with what to raise", async () => {
  const args = ["--from", "en", "--to", "de", "--max-context", "64"];
  const { code, out, err } = await translate(qwen3, args, "Hello\n");
  assertEquals([code, out], [1, ""]);
  assertMatch(err, /the instruction takes \d+ tokens of a context of 64; raise --max-context/);
  // A little more room: a long sentence is read in parts, and nothing is refused.
  const long = `${"We wait and look at the files ".repeat(20)}again.\n`;
  const roomy = ["--from", "en", "--to", "de", "--max-context", "160"];
  const cut = await translate(qwen3, roomy, long);
  assertEquals([cut.code, cut.err], [0, ""]);
});
