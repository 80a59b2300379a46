import { assert, assertEquals } from "@std/assert";
import { loadEngine } from "../../src/engine/load.ts";
import type { EngineOptions, TranslateParams } from "../../src/engine/protocol.ts";
import { TextStreams } from "../../src/engine/stream.ts";
import { modelAddress } from "../../src/cli/model.ts";
import { splitText } from "../../src/text/sentences.ts";

const OPTIONS: EngineOptions = {
  model: modelAddress(undefined),
  device: "cpu",
  gpuMemory: 256 * 2 ** 20,
  // The engine shares this process with every test before it.
  hostMemory: 4 * 2 ** 30,
  threads: 1,
  maxBatchTokens: 256,
  maxQueue: 64,
  maxSourceTokens: 64,
};
const TEXTS = [
  "Open the file.  Select the folder in which the new project should be created.\n\n- Save it.",
  "  1234 !\n",
  "Do you really want to delete all messages from the selected account?",
];
const PARAMS: TranslateParams = {
  texts: TEXTS,
  source: "eng_Latn",
  target: "deu_Latn",
  beams: 1,
  lengthPenalty: 1,
  maxTokens: 64,
  alternatives: 0,
};

Deno.test("pieces that were told join to each text's translation, by tokens and by sentences", async () => {
  const engine = await loadEngine(OPTIONS, () => {});
  for (const beams of [1, 4]) {
    const pieces = TEXTS.map((): string[] => []);
    const translations = await engine.translate({ ...PARAMS, beams }, {
      onText: (text, piece) => pieces[text]!.push(piece),
    });
    assertEquals(pieces.map((p) => p.join("")), translations.map((t) => t.text));
    if (beams === 1) assert(pieces[2]!.length > 4, "greedy search tells tokens");
    else assertEquals(pieces[2]!.length, 1, "beam search tells sentences");
  }
  await engine.close();
});

Deno.test("sentences that end in any order are told in the text's order", () => {
  const decoded: Record<number, string> = { 1: "one", 2: "two", 3: "three" };
  const tokenizer = {
    piece: (id: number) => decoded[id],
    decode: (ids: readonly number[]) => ids.map((id) => decoded[id] ?? "").join(""),
  };
  const split = splitText("A first. Then b.\nAnd c!", { language: "en" });
  const told: string[] = [];
  const streams = new TextStreams([split], tokenizer as never, (_, piece) => told.push(piece));
  streams.take({ sentence: 2, tokens: [3], done: true });
  assertEquals(told, []);
  streams.take({ sentence: 0, tokens: [1], done: false });
  assertEquals(told, ["one"]);
  streams.take({ sentence: 1, tokens: [2], done: true });
  streams.take({ sentence: 0, tokens: [1, 1], done: true });
  assertEquals(told.join(""), "oneone two\nthree");
  streams.rest();
  assertEquals(told.join(""), "oneone two\nthree");
});
