/** What a model reads of a sentence, by the kind of model. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { loadEngine } from "../../src/engine/load.ts";
import type { EngineOptions } from "../../src/engine/protocol.ts";
import { ChatTemplates } from "../../src/text/chat_template.ts";
import { sourceWriter } from "../../src/engine/source.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { goldenFolder } from "../support/golden.ts";
import { packFolder } from "../support/model.ts";

const tokenizerOf = (folder: string) =>
  loadTokenizer(JSON.parse(Deno.readTextFileSync(`${folder}/tokenizer.json`)));
const LANGUAGES = { source: "eng_Latn", target: "deu_Latn" };

const NO_TEMPLATES = new ChatTemplates([], {});
const TOKENS = { pad: 0, eos: [1], decoderStart: 3 };

Deno.test("NLLB reads its source language's token first and must begin with the target's", () => {
  const tokenizer = tokenizerOf(goldenFolder("baseline"));
  const writer = sourceWriter(
    { source: { kind: "language tokens" }, tokens: TOKENS },
    tokenizer,
    NO_TEMPLATES,
    LANGUAGES,
  );
  const own = tokenizer.encode("ab");
  const source = [tokenizer.languageId("eng_Latn"), ...own, tokenizer.eosId];
  assertEquals(writer.write("ab"), {
    source: Int32Array.from(source),
    prefix: [3, tokenizer.languageId("deu_Latn")],
    forced: 1,
    tokens: source.length,
  });
  assertEquals(writer.extraTokens, 2);
});

Deno.test("M2M-100's tokens are found by FLORES codes", () => {
  const json = JSON.parse(Deno.readTextFileSync(`${goldenFolder("baseline")}/tokenizer.json`));
  const renamed = JSON.parse(
    JSON.stringify(json).replaceAll("eng_Latn", "__en__").replaceAll("zho_Hans", "__zh__"),
  );
  const tokenizer = loadTokenizer(renamed), known = loadTokenizer(json);
  for (const code of ["eng_Latn", "zho_Hans"]) {
    assertEquals(tokenizer.languageId(code), known.languageId(code));
  }
  assertThrows(() => tokenizer.languageId("por_Latn"), MoqeError, "__en__");
});

Deno.test("T5's relatives read a prompt, are forced to nothing, and translate", async () => {
  const checkpoint = goldenFolder("baseline", "switch_transformers");
  const tokenizer = tokenizerOf(checkpoint);
  const writer = sourceWriter(
    { source: { kind: "prompt" }, tokens: TOKENS },
    tokenizer,
    NO_TEMPLATES,
    LANGUAGES,
  );
  const source = [...tokenizer.encode("translate English to German: ab"), tokenizer.eosId];
  const { length: tokens } = source;
  const expected = { source: Int32Array.from(source), prefix: [3], forced: 0, tokens };
  assertEquals(writer.write("ab"), expected);
  const folder = await Deno.makeTempDir({ prefix: "moqe-test-" });
  try {
    await packFolder(checkpoint, folder, {
      experts: { bits: 2 },
      trunk: { bits: 8 },
      embedding: { bits: 8 },
    });
    const engine = await loadEngine({
      model: folder,
      device: "cpu",
      gpuMemory: 64 * 2 ** 20,
      hostMemory: 2 ** 30,
      threads: 1,
      maxBatchTokens: 128,
      maxQueue: 16,
      maxSourceTokens: 64,
    }, () => {});
    try {
      const params = {
        texts: ["ab"],
        source: "eng_Latn",
        target: "deu_Latn",
        beams: 2,
        lengthPenalty: 1,
        maxTokens: 8,
        alternatives: 0,
      };
      const [translation] = await engine.translate(params);
      assertEquals(translation!.sourceTokens, tokens);
    } finally {
      await engine.close();
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

const OPTIONS: EngineOptions = {
  model: new URL("../../models/tiny-en-de-fr-es", import.meta.url).pathname,
  device: "cpu",
  gpuMemory: 128 * 2 ** 20,
  hostMemory: 2 ** 31,
  threads: 1,
  maxBatchTokens: 128,
  maxQueue: 512,
  maxSourceTokens: 64,
};

Deno.test("--max-batch-tokens changes no answer: a sentence longer than it is read whole", async () => {
  const found = [];
  for (const maxBatchTokens of [1, 24, 512]) {
    const engine = await loadEngine({ ...OPTIONS, maxBatchTokens, maxSourceTokens: 256 }, () => {});
    try {
      const [translation] = await engine.translate({
        texts: [`We wait ${"and look at the files ".repeat(8)}again.`],
        source: "eng_Latn",
        target: "deu_Latn",
        beams: 4,
        lengthPenalty: 1,
        maxTokens: 40,
        alternatives: 1,
      });
      assertEquals(engine.info.limits.maxSourceTokens, 256);
      found.push(translation);
    } finally {
      await engine.close();
    }
  }
  assert(found[0]!.sourceTokens > 24, "longer than a pass of 24");
  assertEquals(found.slice(1), [found[0], found[0]]);
});

Deno.test("text that takes long to be cut is a request like another: it ends with its client or its time", async () => {
  const engine = await loadEngine(OPTIONS, () => {});
  // Letters without a space or a stop, which are tried at many lengths.
  const letters = Array.from({ length: 20_000 }, (_, i) => String.fromCharCode(97 + i * i % 26));
  const params = {
    texts: Array(8).fill(letters.join("")),
    source: "eng_Latn",
    target: "deu_Latn",
    beams: 1,
    lengthPenalty: 1,
    maxTokens: 4,
    alternatives: 0,
  };
  try {
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 1);
    const left = await assertRejects(
      () => engine.translate(params, { signal: stop.signal }),
      MoqeError,
    );
    assertEquals(left.code, "cancelled");
    const late = await assertRejects(() => engine.translate(params, { timeoutMs: 20 }), MoqeError);
    assertEquals(late.code, "expired");
    const many = await assertRejects(() => engine.translate(params), MoqeError);
    assertEquals(many.code, "too_large");
    assertEquals(engine.stats().queue, { waiting: 0, running: 0, parked: 0 });
    // What was accepted is finished, also what is not in the queue yet.
    const last = engine.translate({ ...params, texts: ["Open the file."] });
    await engine.close();
    assertEquals((await last).length, 1);
  } finally {
    await engine.close();
  }
});
