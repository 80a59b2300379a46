/** moqe generate through the real command line, with made-up chat models: what they say means nothing, how it comes does. */
import { assert, assertEquals, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import { modelAddress } from "../../src/cli/model.ts";
import { loadEngine } from "../../src/engine/load.ts";
import type { EngineOptions, GenerateParams } from "../../src/engine/protocol.ts";
import { packChat, writeQwen3Chat, writeTinyChat } from "../support/chat_model.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { qwen3File } from "../text/byte_level_goldens.ts";
import { moqe, spawnMoqe } from "./moqe.ts";

const MIB = 2 ** 20;
const SMALL = ["--threads", "1"];

let folder: string, tiny: string, qwen3: string;
Deno.test.beforeAll(async () => {
  folder = await Deno.makeTempDir({ prefix: "moqe-test-" });
  tiny = await packChat(writeTinyChat, `${folder}/tiny`);
  qwen3 = await packChat(writeQwen3Chat, `${folder}/qwen3`);
});
Deno.test.afterAll(() => Deno.remove(folder, { recursive: true }));

const generate = (model: string, args: string[], input = "") =>
  moqe(["generate", model, ...SMALL, ...args], { input });

/** The answer and its pieces, by the engine itself. */
async function answered(
  model: string,
  params: Partial<GenerateParams>,
  more: Partial<EngineOptions> = {},
) {
  const engine = await loadEngine({
    model,
    device: "cpu",
    gpuMemory: 256 * MIB,
    hostMemory: 1024 * MIB,
    threads: 1,
    maxBatchTokens: 512,
    maxQueue: 8,
    maxSourceTokens: 256,
    ...more,
  }, () => {});
  try {
    const pieces: string[] = [];
    const asked = { beams: 1, lengthPenalty: 1, maxTokens: 24, ...params };
    const found = await engine.generate(asked, { onText: (piece) => pieces.push(piece) });
    return { ...found, pieces, limits: engine.info.limits };
  } finally {
    await engine.close();
  }
}

Deno.test("a chat model packs without pairs; plan and verify take it", async () => {
  const plan = await moqe(["plan", qwen3]);
  assertEquals([plan.code, plan.err], [0, ""]);
  assertStringIncludes(plan.out, "for 16 experts (100 % resident)");
  const verified = await moqe(["verify", qwen3]);
  assertEquals([verified.code, verified.err], [0, ""]);
  assertStringIncludes(verified.out, "is whole");
});

Deno.test("a prompt is continued, a chat is answered, and standard input is a prompt, too", async () => {
  for (const model of [tiny, qwen3]) {
    const prompt = "Wie heißt der längste Fluss? 长江";
    const messages = [{ role: "system", content: "Be brief." }, { role: "user", content: prompt }];
    const expected = {
      plain: await answered(model, { prompt }),
      chat: await answered(model, { messages: messages.slice(1) }),
      system: await answered(model, { messages }),
    };
    const args = ["--max-tokens", "24"];
    const given = await generate(model, ["--prompt", prompt, ...args]);
    assertEquals(given, { code: 0, out: `${expected.plain.text}\n`, err: "" });
    assertEquals(await generate(model, args, `${prompt}\n`), given);
    const chat = await generate(model, ["--chat", "--prompt", prompt, ...args]);
    assertEquals(chat.out, `${expected.chat.text}\n`);
    const system = await generate(
      model,
      ["--chat", "--system", "Be brief.", ...args],
      prompt,
    );
    assertEquals(system.out, `${expected.system.text}\n`);
    const lengths = [expected.plain, expected.chat, expected.system].map((e) => e.promptTokens);
    assert(lengths[0]! < lengths[1]! && lengths[1]! < lengths[2]!, "template and system message");
  }
});

Deno.test("pieces joined are the answer: by tokens under greedy search, at the end under beams", async () => {
  for (const model of [tiny, qwen3]) {
    const greedy = await answered(model, { prompt: "Hello", maxTokens: 40 });
    assert(greedy.pieces.length > 3, "it comes as it is made");
    assertEquals(greedy.pieces.join(""), greedy.text);
    const beams = await answered(model, { prompt: "Hello", beams: 4 });
    assertEquals(beams.pieces, [beams.text]);
    const { out } = await generate(model, [
      ...["--prompt", "Hello", "--beams", "4", "--max-tokens", "24"],
    ]);
    assertEquals(out, `${beams.text}\n`);
  }
});

Deno.test("an answer ends with any end token that generation_config.json names", async () => {
  const { text, tokens, finish, pieces } = await answered(qwen3, {
    prompt: "Hello",
    maxTokens: 12,
  });
  assertEquals([tokens, finish], [12, "length"]);
  // The tokenizer's own end token stays one beside those of the list.
  const tokenizer = loadTokenizer(await qwen3File("tokenizer.json"));
  // A piece that is one token of the vocabulary is the token that was made.
  const [eos] = pieces.slice(2).map((piece) => tokenizer.encode(piece)).find((ids) =>
    ids.length === 1
  )!;
  const other = await packChat(writeQwen3Chat, `${folder}/ends`, {
    generation: { eos_token_id: [151643, eos] },
  });
  const cut = await answered(other, { prompt: "Hello", maxTokens: 12 });
  assertEquals(cut.finish, "stop");
  assertLess(cut.tokens, 12);
  assert(text.startsWith(cut.text) && cut.text !== text);
  assertEquals(cut.pieces.join(""), cut.text);
});

Deno.test("what a model cannot do is refused by name, with what to do instead", async () => {
  const encoder = await generate(modelAddress(undefined), ["--prompt", "Hello"]);
  assertEquals([encoder.code, encoder.out], [1, ""]);
  assertMatch(encoder.err, /nllb-moe model: it has an encoder.*use moqe translate/);
  const bare = await packChat(writeTinyChat, `${folder}/bare`, { hasTemplate: false });
  assertEquals((await generate(bare, ["--prompt", "Hello", "--max-tokens", "4"])).code, 0);
  const chat = await generate(bare, ["--chat", "--prompt", "Hello"]);
  assertEquals([chat.code, chat.out], [1, ""]);
  assertMatch(chat.err, /chat template.*give the prompt as text/);
  const system = await generate(tiny, ["--system", "Be brief.", "--prompt", "Hello"]);
  assertEquals([system.code, system.out], [2, ""]);
  assertStringIncludes(system.err, "--system needs --chat");
  const nothing = await generate(tiny, []);
  assertEquals([nothing.code, nothing.out], [2, ""]);
  assertStringIncludes(nothing.err, "at least one token");
});

Deno.test("--max-context bounds prompt and answer together; memory and the model bound it, too", async () => {
  const { promptTokens, tokens, finish, limits } = await answered(tiny, {
    prompt: "Hello",
    maxTokens: 500,
  }, { maxContextTokens: 48 });
  assertEquals([promptTokens + tokens, finish, limits.maxContextTokens], [48, "length", 48]);
  const long = "word ".repeat(1000);
  const most = ({ code, err, out }: { code: number; err: string; out: string }) => {
    assertEquals([code, out], [1, ""], err);
    assertMatch(err, /cannot continue a prompt of \d+ tokens: prompt and answer have \d+ tokens/);
    return Number(/have (\d+) tokens/.exec(err)![1]);
  };
  const ask = (...args: string[]) => generate(tiny, ["--prompt", long, ...args]);
  const flag = await ask("--max-context", "64");
  assertEquals(most(flag), 64);
  assertStringIncludes(flag.err, "raise --max-context or --gpu-memory");
  const models = await ask("--max-context", "100000");
  assertEquals(most(models), 4096);
  assertStringIncludes(models.err, "the model was made for no more");
  // The least budget has room for a short context alone.
  const refused = await ask("--gpu-memory", "1MiB");
  const least = /give it --gpu-memory (\d+MiB)/.exec(refused.err)![1]!;
  const small = await ask("--gpu-memory", least);
  const held = most(small);
  assert(held >= 512 && held < 4096, `${held}`);
  const kept = await generate(tiny, ["--prompt", "Hello", "--gpu-memory", least]);
  assertEquals(kept.code, 0, kept.err);
});

Deno.test("Ctrl-C ends an answer with the code of other commands, a closed pipe with a failure", async () => {
  const args = ["generate", tiny, ...SMALL, "--prompt", "Hello", "--max-tokens", "4000"];
  const child = spawnMoqe(args);
  await child.stdin.close();
  const reader = child.stdout.getReader();
  assert((await reader.read()).value!.length > 0, "the answer has begun");
  child.kill("SIGINT");
  const rest = (async () => {
    for (let read = await reader.read(); !read.done;) read = await reader.read();
  })();
  const [{ code }, err] = await Promise.all([child.status, new Response(child.stderr).text()]);
  await rest;
  assertEquals([code, err], [130, ""]);

  const piped = spawnMoqe(args);
  await piped.stdin.close();
  const head = piped.stdout.getReader();
  await head.read();
  await head.cancel();
  const [ended, said] = await Promise.all([piped.status, new Response(piped.stderr).text()]);
  assertEquals([ended.code, said], [1, ""]);
});
