/** Reading tensors: dtypes, rows, names, shards, and a checkpoint against its plan. */
import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { nllbMoe } from "../../src/arch/nllb_moe.ts";
import { MoqeError } from "../../src/base/errors.ts";
import { checkAgainstPlan, checkCopies } from "../../src/checkpoint/check.ts";
import type { TensorInfo, TensorSource } from "../../src/checkpoint/contract.ts";
import { DiskFolder } from "../../src/checkpoint/disk_folder.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { openTensors } from "../../src/checkpoint/tensor_source.ts";
import {
  f32Tensor,
  safetensors,
  temporaryFolder,
  type TestTensor,
} from "../support/safetensors.ts";
import { goldenFolder, goldenNames } from "../support/golden.ts";

const open = (path: string) => openTensors(new DiskFolder(path));

Deno.test("f32, f16 and bf16 rows come as f32, whole or in part", async () => {
  // Values that all three hold exactly.
  const values = Array.from({ length: 12 }, (_, i) => (i - 5) / 4);
  const f32 = Float32Array.from(values);
  const bf16 = new Uint16Array(new Uint32Array(f32.buffer.slice(0)).map((b) => b >>> 16));
  const tensors: Record<string, TestTensor> = {
    odd: { dtype: "U8", shape: [3], data: new Uint8Array(3) },
    full: f32Tensor([4, 3], values),
    "model.half": {
      dtype: "F16",
      shape: [4, 3],
      data: new Uint8Array(new Float16Array(f32).buffer),
    },
    brain: { dtype: "BF16", shape: [4, 3], data: new Uint8Array(bf16.buffer) },
    vector: f32Tensor([3], [7, 8, 9]),
  };
  using folder = temporaryFolder({ "model.safetensors": safetensors(tensors) });
  const source = await open(folder.path);
  for (const name of ["full", "half", "brain"]) {
    assertEquals(await source.readRows(name, 0, 4), f32, name);
    assertEquals(await source.readRows(name, 1, 2), f32.slice(3, 9), name);
    const into = new Float32Array(8).fill(-1);
    const rows = await source.readRows(name, 3, 1, { into });
    assertEquals([...rows, into[3]], [...f32.slice(9), -1], name);
  }
  assertEquals(await source.readRows("vector", 0, 1), Float32Array.of(7, 8, 9));
  await assertRejects(() => source.readRows("full", 3, 2), RangeError);
  const error = await assertRejects(() => source.readRows("odd", 0, 1), MoqeError, "U8");
  assertEquals(error.code, "unsupported");
  source.close();
});

Deno.test("a file in a checkpoint's place is refused with what to give", async () => {
  using folder = temporaryFolder({ "model.safetensors": new Uint8Array(8) });
  const file = `${folder.path}/model.safetensors`;
  const error = await assertRejects(() => openCheckpoint(file), MoqeError, "it is a file");
  assertEquals(error.code, "bad_input");
});

Deno.test("a file that shrinks after opening is noticed", async () => {
  using folder = temporaryFolder({
    "model.safetensors": safetensors({ a: f32Tensor([4], [1, 2, 3, 4]) }),
  });
  const source = await open(folder.path);
  Deno.truncateSync(`${folder.path}/model.safetensors`, 90);
  await assertRejects(() => source.readRows("a", 0, 1), MoqeError, "ended after");
  source.close();
});

const index = (map: Record<string, string>) => JSON.stringify({ weight_map: map });

Deno.test("an index may name only files of its own folder", async () => {
  for (
    const name of [
      "../model.safetensors",
      "/etc/passwd.safetensors",
      "https://example.org/a.safetensors",
      "a/b.safetensors",
      "..\\a.safetensors",
      "model.bin",
      "",
    ]
  ) {
    using folder = temporaryFolder({ "model.safetensors.index.json": index({ a: name }) });
    const error = await assertRejects(() => open(folder.path), MoqeError, "own folder");
    assertEquals(error.code, "corrupt");
  }
});

Deno.test("an index and its shards must agree, every difference in one error", async () => {
  using folder = temporaryFolder({
    "one.safetensors": safetensors({ a: f32Tensor([1], [1]), b: f32Tensor([1], [2]) }),
    "two.safetensors": safetensors({ c: f32Tensor([1], [3]) }),
    "model.safetensors.index.json": index({
      a: "one.safetensors",
      b: "two.safetensors",
      c: "two.safetensors",
      d: "two.safetensors",
    }),
  });
  const { message } = await assertRejects(() => open(folder.path), MoqeError);
  assertStringIncludes(message, '"b" is in one.safetensors, but listed in two.safetensors');
  assertStringIncludes(message, '"d" is in no shard');
});

Deno.test("missing files are named with what a checkpoint is", async () => {
  using empty = temporaryFolder();
  await assertRejects(() => openCheckpoint(empty.path), MoqeError, "config.json");
  using weightless = temporaryFolder({ "config.json": "{}", "tokenizer.json": "{}" });
  await assertRejects(() => openCheckpoint(weightless.path), MoqeError, "no model.safetensors");
});

Deno.test("every golden checkpoint opens and is as its plan says", async () => {
  for (const name of goldenNames()) {
    const { texts, weights } = await openCheckpoint(`file://${goldenFolder(name)}/`);
    checkAgainstPlan(weights, nllbMoe.read(texts.config).plan);
    weights.close();
  }
});

Deno.test("every missing, surplus and misshapen tensor is in one error", async () => {
  const { texts, weights } = await openCheckpoint(goldenFolder("baseline"));
  const { plan } = nllbMoe.read(texts.config);
  const tensors = new Map(weights.tensors);
  const [first, second] = [...tensors.keys()] as [string, string];
  tensors.delete(first);
  tensors.set(second, { ...tensors.get(second)!, shape: [3, 3, 3] } as TensorInfo);
  tensors.set("extra\u001b[31m", { ...tensors.get(second)! });
  const broken = { ...weights, origin: "here", tensors } as unknown as TensorSource;
  const { message, code } = assertThrows(() => checkAgainstPlan(broken, plan), MoqeError);
  assertEquals(code, "bad_input");
  assertStringIncludes(message, `missing: ${first} [`);
  assertStringIncludes(message, `misshapen: ${second} is [3, 3, 3]`);
  assertStringIncludes(message, 'surplus: "extra\\u001b[31m"');
  weights.close();
});

Deno.test("with untied embeddings a stack's own table must be the shared one", async () => {
  const { texts, weights } = await openCheckpoint(goldenFolder("baseline"));
  const { plan } = nllbMoe.read({ ...texts.config as object, tie_word_embeddings: false });
  const tensors = new Map(weights.tensors), table = tensors.get("shared.weight")!;
  let changed = false;
  const source = (name: string) => ({
    origin: "here",
    tensors: new Map([...tensors, [name, table]]),
    async readRows(asked: string, start: number, count: number) {
      const rows = (await weights.readRows("shared.weight", start, count)).slice();
      if (changed && asked === name) rows[rows.length - 1]! += 1;
      return rows;
    },
  } as unknown as TensorSource);
  for (const stack of ["encoder", "decoder"]) {
    const name = `${stack}.embed_tokens.weight`;
    changed = false;
    await checkCopies(source(name), plan);
    changed = true;
    const error = await assertRejects(() => checkCopies(source(name), plan), MoqeError, name);
    assertEquals(error.code, "unsupported");
  }
  await checkCopies(weights, plan);
  weights.close();
});
