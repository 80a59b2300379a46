/** The tokenizer against the Python library's ids, on dev lines and on text meant to break it. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { loadTokenizer, StreamDecoder, type TextTokenizer } from "../../src/text/tokenizer.ts";
import { golden, GOLDEN_TOKENIZERS, goldenJson } from "./goldens.ts";
import { assertProportional } from "./work.ts";

function short(text: string): string {
  return JSON.stringify(text.slice(0, 60));
}

function streamed(tokenizer: TextTokenizer, ids: number[]): string[] {
  const stream = new StreamDecoder(tokenizer);
  return [...ids.map((id) => stream.push(id)), stream.end()];
}

for (const name of GOLDEN_TOKENIZERS) {
  Deno.test(`${name}: ids of 1,000 dev lines are the Python library's`, async () => {
    const [tokenizer, { lines }] = await golden(name);
    assertEquals(lines.length, 1000);
    for (const [text, ids] of lines) assertEquals(tokenizer.encode(text), ids, short(text));
  });

  Deno.test(`${name}: so are those of hostile text, and its decoded form`, async () => {
    const [tokenizer, { hostile }] = await golden(name);
    for (const [text, ids, decoded] of hostile) {
      assertEquals(tokenizer.encode(text), ids, short(text));
      assertEquals(tokenizer.decode(ids), decoded, short(text));
    }
  });

  Deno.test(`${name}: ids no text gives are decoded alike`, async () => {
    const [tokenizer, { decode }] = await golden(name);
    for (const [ids, text] of decode) assertEquals(tokenizer.decode(ids), text, String(ids));
  });

  Deno.test(`${name}: streamed text joins to the whole and never takes back`, async () => {
    const [tokenizer, { hostile, decode, lines }] = await golden(name);
    const rows = [...hostile.map((row) => row[1].slice(0, 200)), ...decode.map((row) => row[0])];
    for (const ids of [...rows, ...lines.slice(0, 50).map((row) => row[1])]) {
      assertEquals(streamed(tokenizer, ids).join(""), tokenizer.decode(ids));
    }
  });

  Deno.test(`${name}: characters without a space take work in proportion`, async () => {
    const [tokenizer] = await golden(name);
    for (const unit of ["abcdefghij", "日本語の文字列です。", "a\u0301\u0323", "😀👨‍👩‍👧"]) {
      await assertProportional(short(unit), 10_000, (length) => {
        tokenizer.encode(unit.repeat(Math.ceil(length / unit.length)));
      });
    }
  });
}

Deno.test("a character of several byte tokens streams whole, and no U+FFFD comes early", async () => {
  const [tokenizer] = await golden("shared");
  const ids = tokenizer.encode("x 👨‍👩‍👧‍👦 y");
  const parts = streamed(tokenizer, ids);
  assertEquals(parts.join(""), "x 👨‍👩‍👧‍👦 y");
  assert(parts.every((part) => !part.includes("\ufffd")));
});

Deno.test("lone surrogates become U+FFFD before anything else", async () => {
  const [tokenizer] = await golden("shared");
  assertEquals(tokenizer.encode("a\ud800b"), tokenizer.encode("a\ufffdb"));
  assertEquals(tokenizer.encode("\udc00\ud800"), tokenizer.encode("\ufffd\ufffd"));
});

Deno.test("a source is [language] tokens </s>, and a user's </s> is text", async () => {
  const [tokenizer] = await golden("shared");
  const ids = tokenizer.encodeSource("a </s> deu_Latn <pad>", "eng_Latn");
  assertEquals([ids[0], ids.at(-1)], [11987, 2]);
  assert(ids.slice(1, -1).every((id) => id > 3 && id < 11987), String(ids));
  assertEquals(tokenizer.decode(ids), "a </s> deu_Latn <pad>");
  assertEquals(tokenizer.encodeSource("", "deu_Latn"), [11988, 2]);
});

Deno.test("merges that spell a control token give <unk>, not the token", async () => {
  const json = await goldenJson("shared");
  const merges = [["<", "/"], ["</", "s"], ["</s", ">"], ["▁", "</s>"]];
  const vocab = { ...json.model.vocab };
  for (const piece of ["</", "</s"]) vocab[piece] ??= Object.keys(vocab).length;
  const tokenizer = loadTokenizer({ ...json, model: { ...json.model, vocab, merges } });
  const ids = tokenizer.encode("a</s>b");
  assert(ids.includes(3) && !ids.includes(2), String(ids));
});

Deno.test("an unknown language lists those there are", async () => {
  const [tokenizer] = await golden("shared");
  assertEquals(tokenizer.languages.length, 12);
  const error = assertThrows(() => tokenizer.languageId("xyz_Latn"), MoqeError, "eng_Latn");
  assertEquals((error as MoqeError).code, "bad_input");
  assertThrows(() => tokenizer.languageId("</s>"), MoqeError);
});

Deno.test("what is no tokenizer.json, or has an unknown part, is refused by name", async () => {
  for (const wrong of [null, {}, [], { model: {} }]) {
    assertThrows(() => loadTokenizer(wrong), MoqeError, "vocabulary");
  }
  const json = await goldenJson("shared");
  const decoder = { type: "CTC" }, normalizer = { type: "Nmt" };
  assertThrows(() => loadTokenizer({ ...json, decoder }), MoqeError, "CTC");
  assertThrows(() => loadTokenizer({ ...json, normalizer }), MoqeError, "Nmt");
  const map = { type: "Precompiled", precompiled_charsmap: btoa("\x08\0\0\0abcd") };
  assertThrows(() => loadTokenizer({ ...json, normalizer: map }), MoqeError, "trie");
});
