import { assert, assertEquals, assertThrows } from "@std/assert";
import { architectureOf } from "../../src/arch/registry.ts";
import { MoqeError } from "../../src/base/errors.ts";
import { distanceBuckets } from "../../src/nn/distances.ts";

/** config.json of google/switch-base-8, as far as it decides shapes. */
const BASE_8 = {
  model_type: "switch_transformers",
  d_ff: 3072,
  num_sparse_encoder_layers: 6,
  num_sparse_decoder_layers: 6,
};
/** And of google/switch-c-2048, whose attention is narrower than its residual stream. */
const C_2048 = {
  model_type: "switch_transformers",
  d_ff: 6144,
  d_model: 2080,
  decoder_sparse_step: 0,
  encoder_sparse_step: 1,
  num_experts: 2048,
  num_heads: 30,
  num_layers: 15,
  num_decoder_layers: 12,
  decoder_start_token_id: 0,
};
const read = (config: Record<string, unknown>) => architectureOf(config).read(config);

Deno.test("Switch Base 8: every second layer is sparse, 620 million parameters", () => {
  const { plan, spec } = read(BASE_8);
  assertEquals(plan.expertLayers.map((l) => l.layer), [1, 3, 5, 7, 9, 11, 1, 3, 5, 7, 9, 11]);
  const trunk = plan.tensors.reduce((n, t) => n + t.shape.reduce((a, b) => a * b, 1), 0);
  const experts = plan.expertLayers.length * 8 * 2 * 768 * 3072;
  assert(Math.abs(trunk + experts - 619.6e6) < 1e6, String(trunk + experts));
  const sparse = [...spec.encoder!.layers, ...spec.decoder.layers].flatMap(({ feedForward: f }) =>
    f.kind === "sparse" ? [f.expertLayer] : []
  );
  assertEquals(sparse, [...plan.expertLayers.keys()]);
});

Deno.test("Switch C 2048: 30,720 experts, all in the encoder; attention is narrower than the residual stream", () => {
  const { plan, spec } = read(C_2048);
  assertEquals(
    plan.expertLayers.map((l) => `${l.stack} ${l.count}`),
    Array(15).fill("encoder 2048"),
  );
  const { heads, headDim } = spec.encoder!.layers[0]!.attention;
  assertEquals(heads * headDim, 1920);
  const output = plan.tensors.find((t) =>
    t.name === "encoder.block.3.layer.0.SelfAttention.o.weight"
  );
  assertEquals(output?.shape, [2080, 1920]);
});

Deno.test("what moqe does not run is refused by name", () => {
  const wrong = { ...BASE_8, dense_act_fn: "gelu_new", is_gated_act: true };
  const error = assertThrows(() => read(wrong), MoqeError);
  assertEquals(error.code, "unsupported");
  for (const option of ["dense_act_fn", "is_gated_act"]) assert(error.message.includes(option));
  const near = { ...BASE_8, relative_attention_max_distance: 8 };
  assertThrows(() => read(near), MoqeError, "relative_attention_max_distance");
});

Deno.test("buckets of distances are the reference's at the edges of each", () => {
  const both = distanceBuckets({ buckets: 32, maxDistance: 128, bidirectional: true });
  const past = distanceBuckets({ buckets: 32, maxDistance: 128, bidirectional: false });
  // Asked of transformers: [key - query, encoder's bucket, decoder's].
  const known = [
    [-128, 15, 31],
    [-127, 15, 31],
    [-91, 15, 29],
    [-90, 14, 29],
    [-64, 14, 26],
    [-46, 13, 24],
    [-45, 12, 23],
    [-32, 12, 21],
    [-23, 11, 18],
    [-17, 10, 16],
    [-16, 10, 16],
    [-15, 9, 15],
    [-9, 8, 9],
    [-8, 8, 8],
    [-7, 7, 7],
    [-1, 1, 1],
    [0, 0, 0],
    [1, 17, 0],
    [7, 23, 0],
    [8, 24, 0],
    [11, 24, 0],
    [12, 25, 0],
    [15, 25, 0],
    [16, 26, 0],
    [32, 28, 0],
    [64, 30, 0],
    [90, 30, 0],
    [91, 31, 0],
    [128, 31, 0],
  ] as const;
  for (const [distance, encoder, decoder] of known) {
    assertEquals([both[distance + 128], past[distance + 128]], [encoder, decoder], `${distance}`);
  }
});
