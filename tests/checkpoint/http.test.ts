/** Checkpoints behind HTTP: read by ranges, tensor by tensor, and never more than was asked for. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { hostileStore } from "../support/hostile_store.ts";
import { NLLB_MOE_54B } from "../support/nllb_54b.ts";
import { rangeServer } from "../support/range_server.ts";
import { f32Tensor, safetensors } from "../support/safetensors.ts";

const TINY = {
  ...NLLB_MOE_54B,
  vocab_size: 50,
  d_model: 32,
  encoder_layers: 1,
  decoder_layers: 1,
  encoder_attention_heads: 2,
  decoder_attention_heads: 2,
  encoder_ffn_dim: 64,
  decoder_ffn_dim: 64,
  num_experts: 4,
  encoder_sparse_step: 1,
  decoder_sparse_step: 1,
};

Deno.test("shards behind HTTP give every row that was served", async () => {
  const server = rangeServer(TINY, 40_000);
  const { weights } = await openCheckpoint(server.url);
  const files = new Set([...weights.tensors.values()].map((t) => t.file));
  assert(files.size > 2);
  for (const file of files) {
    let index = 0;
    for (const tensor of weights.tensors.values()) {
      if (tensor.file !== file) continue;
      const rows = tensor.shape.length === 1 ? 1 : tensor.shape[0]!;
      const cols = tensor.shape.at(-1)!;
      for (let r = 0; r < rows; r += 7) {
        const count = Math.min(3, rows - r);
        const got = await weights.readRows(tensor.name, r, count);
        for (let i = 0; i < got.length; i++) {
          assertEquals(got[i], server.weightAt(index + r * cols + i));
        }
      }
      index += rows * cols;
    }
  }
  weights.close();
  await server.close();
});

const FILES = {
  "config.json": new TextEncoder().encode("{}"),
  "tokenizer.json": new TextEncoder().encode("{}"),
  "model.safetensors": safetensors({ a: f32Tensor([2], [1, 2]) }),
};

Deno.test("a checkpoint's optional files may be missing; its texts and weights come by ranges", async () => {
  const server = hostileStore(FILES);
  const { texts, weights } = await openCheckpoint(server.url);
  assertEquals([texts.generation, texts.tokenizerConfig], [{}, {}]);
  assertEquals(await weights.readRows("a", 0, 1), Float32Array.of(1, 2));
  assert(server.seen.every((s) => s.range !== null));
  assert(weights.identity.includes('"v1"'), "an ETag is part of its identity");
  weights.close();
  await server.close();
});

Deno.test("a server that ignores ranges is refused, not read whole", async () => {
  const server = hostileStore(FILES, () => ({ kind: "ignore_range" }));
  const error = await assertRejects(() => openCheckpoint(server.url), MoqeError, "ignores ranges");
  assertEquals(error.code, "corrupt");
  await server.close();
});
