/** Tokenizers of decoder-only models against the Python library's ids: Qwen3's own, and small ones with the parts of others. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { loadTokenizer, StreamDecoder, type TextTokenizer } from "../../src/text/tokenizer.ts";
import { type ByteLevelGolden, qwen3, smallTokenizers } from "./byte_level_goldens.ts";
import { assertProportional } from "./work.ts";

const GOLDENS: [string, ByteLevelGolden][] = [["qwen3", await qwen3()], ...await smallTokenizers()];

function short(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}...` : text);
}

function streamed(tokenizer: TextTokenizer, ids: readonly number[]): string[] {
  const stream = new StreamDecoder(tokenizer);
  return [...ids.map((id) => stream.push(id)), stream.end()];
}

function byName(name: string): ByteLevelGolden {
  return GOLDENS.find(([n]) => n === name)![1];
}

for (
  const [name, { tokenizer, texts, control, plain, special, framed, decode, decoded }] of GOLDENS
) {
  Deno.test(`${name}: ids of ${texts.length} texts are the Python library's`, () => {
    assertEquals(plain.length, texts.length + control.length);
    for (const [i, text] of texts.entries()) {
      assertEquals(tokenizer.encode(text), plain[i], short(text));
    }
  });

  Deno.test(`${name}: control tokens in a text are read only where asked`, () => {
    for (const [i, text] of control.entries()) {
      assertEquals(tokenizer.encode(text), plain[texts.length + i], text);
      assertEquals(tokenizer.encode(text, { special: true }), special[i], text);
      assertEquals(tokenizer.decode(special[i]!), decoded[i], text);
    }
    assertEquals(tokenizer.encodePrompt(control[0]!), framed);
  });

  Deno.test(`${name}: as content of a prompt, no text gives a control token`, () => {
    const ids = new Set(tokenizer.specials.values());
    const unknown = tokenizer.unkId;
    for (const [i, text] of [...texts, ...control].entries()) {
      const content = tokenizer.encode(tokenizer.asContent(text), { special: true });
      assertEquals(content, plain[i], short(text));
      assert(content.every((id) => id === unknown || !ids.has(id)), short(text));
    }
  });

  Deno.test(`${name}: ids are decoded alike, whole and streamed`, () => {
    for (const [ids, text] of decode) assertEquals(tokenizer.decode(ids), text, String(ids));
    for (const ids of [...decode.map((row) => row[0]), ...special, ...plain.slice(-90)]) {
      assertEquals(streamed(tokenizer, ids).join(""), tokenizer.decode(ids), String(ids));
    }
  });
}

Deno.test("streamed text never has U+FFFD for a character that is completed later", () => {
  const text = "x 👩🏽‍🚀 字é ﷺ — 🇩🇪";
  for (const [name, { tokenizer }] of GOLDENS) {
    if (name === "removed" || name === "inverted") continue;
    const parts = streamed(tokenizer, tokenizer.encode(text));
    assertEquals(parts.join("").trim(), text, name);
    assert(parts.every((part) => !part.includes("\ufffd")), name);
  }
});

Deno.test("a character that never completes is U+FFFD at the end, and before what follows it", () => {
  const { tokenizer } = byName("o200k");
  const [first] = tokenizer.encode("字"), [a] = tokenizer.encode("a");
  assertEquals(tokenizer.decode([first!]), "\ufffd");
  assertEquals(streamed(tokenizer, [first!]), ["", "\ufffd"]);
  assertEquals(streamed(tokenizer, [first!, a!]), ["", "\ufffda", ""]);
});

Deno.test("lone surrogates become U+FFFD before anything else", () => {
  const { tokenizer } = byName("qwen3");
  assertEquals(tokenizer.encode("a\ud800b"), tokenizer.encode("a\ufffdb"));
  assertEquals(tokenizer.asContent("\udc00<|im_end|>").startsWith("\ufffd<"), true);
});

Deno.test("models without language tokens name their tokens", () => {
  const { tokenizer } = byName("qwen3");
  assertEquals(tokenizer.languages, []);
  assertEquals(tokenizer.named["eos_token"], "<|im_end|>");
  assertEquals(tokenizer.named["bos_token"], undefined);
  assertEquals(tokenizer.eosId, 151645);
  assertEquals(tokenizer.specials.get("<|endoftext|>"), 151643);
  assertEquals(tokenizer.tokenId("<think>"), 151667);
  assertThrows(() => tokenizer.languageId("eng_Latn"), MoqeError);
  assertThrows(() => byName("o200k").tokenizer.eosId, MoqeError, "</s>");
});

Deno.test("the shield that content is given is removed, and what a user writes of it is no way around", () => {
  const { tokenizer } = byName("qwen3");
  const end = tokenizer.specials.get("<|im_end|>")!;
  for (
    const text of ["<\ufdd0|im_end|>", "\ufdd0<|im_end|>", "<|im_end|>\ufdd0", "<|im_\ufdd0end|>"]
  ) {
    const ids = tokenizer.encode(`a${tokenizer.asContent(text)}<|im_end|>`, { special: true });
    assertEquals(ids.filter((id) => id === end).length, 1, text);
    assertEquals(ids.at(-1), end);
  }
});

Deno.test("merges that spell a control token give its characters where there is no <unk>", () => {
  const vocab = { "<": 0, "e": 1, ">": 2, "<e": 3, "<e>": 4 };
  const merges = [["<", "e"], ["<e", ">"]];
  const added_tokens = [{ id: 4, content: "<e>", special: true }];
  const tokenizer = loadTokenizer({ model: { type: "BPE", vocab, merges }, added_tokens });
  assertEquals(tokenizer.encode("<e>"), [0, 1, 2]);
  assertEquals(tokenizer.encode("<e>", { special: true }), [4]);
});

Deno.test("characters without a space take work in proportion", async () => {
  for (const name of ["qwen3", "o200k", "mixtral"]) {
    const { tokenizer } = byName(name);
    for (const unit of ["abcdefghij", "日本語の文字列です。", "AbC", " ", "\n", "<|im_end|", "1"]) {
      await assertProportional(`${name} ${short(unit)}`, 10_000, (length) => {
        tokenizer.encode(tokenizer.asContent(unit.repeat(Math.ceil(length / unit.length))));
      });
    }
  }
});

Deno.test("a pre-tokenizer or post-processor that is not known is refused by name", () => {
  const model = { type: "BPE", vocab: { a: 0 }, merges: [] };
  const refused = (parts: object, name: string) =>
    assertThrows(() => loadTokenizer({ model, ...parts }), MoqeError, name);
  refused({ pre_tokenizer: { type: "UnicodeScripts" } }, "UnicodeScripts");
  refused({ post_processor: { type: "Wonder" } }, "Wonder");
  const split = { type: "Split", pattern: { Regex: "(" }, behavior: "Isolated", invert: false };
  refused({ pre_tokenizer: split }, "pattern");
  refused(
    { pre_tokenizer: { ...split, pattern: { Regex: "a" }, behavior: "Sideways" } },
    "Sideways",
  );
});
