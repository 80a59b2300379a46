/** Tokenizers read from bytes: the same as from objects, refused where the bytes are none, and in the memory they say. */
import { assert, assertEquals } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { readTokenizer } from "../../src/text/tokenizer_bytes.ts";
import { qwen3File } from "./byte_level_goldens.ts";
import { golden, GOLDEN_TOKENIZERS, goldenJson } from "./goldens.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

for (const name of GOLDEN_TOKENIZERS) {
  Deno.test(`${name}: from bytes as from objects, however it is written`, async () => {
    const json = await goldenJson(name), [, { lines, decode }] = await golden(name);
    const merges = (json.model.merges ?? []) as [string, string][];
    const spaced = { ...json, model: { ...json.model, merges: merges.map((m) => m.join(" ")) } };
    const swapped = { ...json, model: { merges, ...json.model, type: "BPE" } };
    const texts = [JSON.stringify(json), JSON.stringify(json, null, 2), JSON.stringify(swapped)];
    // Every character but ASCII escaped, as Python's json writes by default.
    const escaped = texts[0]!.replace(
      /[\u007f-\uffff]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
    );
    for (const text of [...texts, escaped, JSON.stringify(spaced)]) {
      const tokenizer = readTokenizer(bytesOf(text));
      assertEquals(tokenizer.hostBytes, loadTokenizer(json).hostBytes);
      for (const [line, ids] of lines.slice(0, 100)) assertEquals(tokenizer.encode(line), ids);
      for (const [ids, decoded] of decode) assertEquals(tokenizer.decode(ids), decoded);
    }
  });
}

Deno.test("a model that is no BPE is read as objects", () => {
  const model = { type: "Unigram", vocab: [["<unk>", 0], ["a", -1], ["b", -2]], unk_id: 0 };
  const tokenizer = readTokenizer(bytesOf(JSON.stringify({ model })));
  assertEquals(tokenizer.encode("ab"), [1, 2]);
});

function refused(text: string): void {
  let thrown: unknown;
  try {
    readTokenizer(bytesOf(text));
  } catch (error) {
    thrown = error;
  }
  assert(thrown instanceof MoqeError, `${text}: ${thrown}`);
}

Deno.test("bytes that are no tokenizer.json are refused, wherever they break", () => {
  const whole = JSON.stringify({
    added_tokens: [{ id: 2, content: "<x>", special: true }],
    model: { type: "BPE", vocab: { "a": 0, '"\\': 1 }, merges: [["a", "a"]] },
  });
  assertEquals(readTokenizer(bytesOf(whole)).encode("a"), [0]);
  for (let end = 0; end < whole.length; end++) {
    refused(whole.slice(0, end));
  }
  const model = (vocab: string, merges = "[]") =>
    `{"model":{"type":"BPE","vocab":${vocab},"merges":${merges}}}`;
  for (
    const text of [
      "",
      "null",
      "[]",
      "{}",
      model(`{"a":"0"}`),
      model(`{"a":-1}`),
      model(`{"a":1e9}`),
      model(`{"a":0.5}`),
      model(`{a:0}`),
      model(`{"a":0,}`),
      model(`{"a":0}`, "{}"),
      model(`{"a":0}`, `[["a"]]`),
      model(`{"a":0}`, `[["a","a","a"]]`),
      model(`{"a":0}`, "[3]"),
      model(`{"a":0}`, `["a a" "a a"]`),
      `${model(`{"a":0}`)}x`,
    ]
  ) {
    refused(text);
  }
});

Deno.test("what Qwen3's tokenizer holds, and takes while it is read, is what the ledger says", async () => {
  const file = await Deno.makeTempFile();
  await Deno.writeTextFile(file, JSON.stringify(await qwen3File("tokenizer.json")));
  const child = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      "--v8-flags=--expose-gc,--max-semi-space-size=2",
      "tests/text/held_child.ts",
      file,
    ],
    cwd: new URL("../..", import.meta.url).pathname,
  }).output();
  const { size } = await Deno.stat(file);
  await Deno.remove(file);
  const { held, peak, hostBytes } = JSON.parse(new TextDecoder().decode(child.stdout));
  const seen = `${held} held, ${peak} at the peak, ${hostBytes} said`;
  assert(held <= hostBytes && hostBytes <= 1.5 * held, seen);
  // The ledger keeps six times the file free while it is read.
  assert(peak <= hostBytes + 6 * size, seen);
});
