import { assert, assertEquals, assertThrows } from "@std/assert";
import { architectureOf } from "../../src/arch/registry.ts";
import { baseOf } from "../../src/base/plan.ts";
import { MoqeError } from "../../src/base/errors.ts";
import { NLLB_MOE_54B } from "../support/nllb_54b.ts";

const read = (change: Record<string, unknown> = {}) =>
  architectureOf(NLLB_MOE_54B).read({ ...NLLB_MOE_54B, ...change });

Deno.test("the 54B model has 1,536 experts in 12 layers and 54.5 billion parameters", () => {
  const { plan, spec } = read();
  assertEquals(plan.expertLayers.length, 12);
  assertEquals(plan.expertLayers.map((l) => l.layer), [3, 7, 11, 15, 19, 23, 3, 7, 11, 15, 19, 23]);
  assertEquals(plan.expertLayers.reduce((n, l) => n + l.count, 0), 1536);
  const trunk = plan.tensors.reduce((n, t) => n + t.shape.reduce((a, b) => a * b, 1), 0);
  const expert = plan.expertLayers[0]!.projections.reduce(
    (n, p) => n + p.rows * p.cols + p.rows,
    0,
  );
  assertEquals(expert, 33_564_672);
  assert(Math.abs(trunk + 1536 * expert - 54.5e9) < 0.01e9);
  assertEquals(spec.encoder!.layers.filter((l) => l.feedForward.kind === "sparse").length, 6);
});

Deno.test("sparse steps 0, 1, 2 and 4 make the layers that the reference makes sparse", () => {
  for (const [step, layers] of [[0, []], [1, [0, 1, 2, 3]], [2, [1, 3]], [4, [3]]] as const) {
    const { plan } = read({ encoder_layers: 4, encoder_sparse_step: step, decoder_sparse_step: 0 });
    assertEquals(plan.expertLayers.map((l) => l.layer), [...layers]);
  }
});

Deno.test("bases: trunk tensors shaped as the experts' own, one for every second expert", () => {
  const { plan, spec } = read({ expert_bases: 2 }), plain = read();
  const bases = plan.tensors.filter((t) => t.name.includes(".bases."));
  assertEquals(plan.tensors.length - bases.length, plain.plan.tensors.length);
  assertEquals(bases.length, 12 * 2 * 2);
  assertEquals(bases[0], {
    name: "encoder.layers.3.ffn.bases.base_0.fc1.weight",
    role: "matrix",
    shape: [8192, 2048],
    place: { stack: "encoder", part: "dense_ffn" },
  });
  const layer = plan.expertLayers[0]!, block = spec.encoder!.layers[3]!.feedForward;
  assertEquals([0, 1, 2, 127].map((e) => baseOf(layer, e)), [0, 1, 0, 1]);
  assertEquals(baseOf(plain.plan.expertLayers[0]!, 1), undefined);
  assert(block.kind === "sparse");
  assertEquals(block.bases?.[1]?.fc2, "encoder.layers.3.ffn.bases.base_1.fc2.weight");
  assertThrows(() => read({ expert_bases: 3 }), MoqeError, "does not divide num_experts, 128");
});

Deno.test("options that moqe does not run are refused by name, all at once", () => {
  const error = assertThrows(
    () =>
      read({
        moe_eval_capacity_token_fraction: 0.5,
        batch_prioritized_routing: true,
        second_expert_policy: "sampling",
      }),
    MoqeError,
  );
  assertEquals(error.code, "unsupported");
  for (
    const option of [
      "moe_eval_capacity_token_fraction",
      "batch_prioritized_routing",
      "second_expert_policy",
    ]
  ) {
    assert(error.message.includes(option), option);
  }
});

Deno.test("an unknown model_type and a broken configuration say what is wrong", () => {
  assertThrows(() => architectureOf({ model_type: "gpt" }), MoqeError, "nllb-moe");
  assertThrows(() => architectureOf(null), MoqeError, "model_type");
  assertThrows(() => read({ d_model: -2 }), MoqeError, "d_model");
  assertThrows(() => read({ encoder_attention_heads: 7 }), MoqeError, "multiple");
});
