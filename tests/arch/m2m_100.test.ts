import { assert, assertEquals, assertThrows } from "@std/assert";
import { architectureOf } from "../../src/arch/registry.ts";
import { MoqeError } from "../../src/base/errors.ts";
import { loadEngine } from "../../src/engine/load.ts";
import { goldenFolder } from "../support/golden.ts";
import { packFolder } from "../support/model.ts";

/** config.json of facebook/nllb-200-distilled-600M, as far as it decides shapes. */
const NLLB_200_600M = {
  model_type: "m2m_100",
  vocab_size: 256206,
  d_model: 1024,
  encoder_layers: 12,
  decoder_layers: 12,
  encoder_attention_heads: 16,
  decoder_attention_heads: 16,
  encoder_ffn_dim: 4096,
  decoder_ffn_dim: 4096,
  max_position_embeddings: 1024,
};
const read = (change: Record<string, unknown> = {}) =>
  architectureOf(NLLB_200_600M).read({ ...NLLB_200_600M, ...change });

Deno.test("the dense 600M model has 615 million parameters and no experts", () => {
  const { plan, spec } = read();
  assertEquals(plan.expertLayers, []);
  const trunk = plan.tensors.reduce((n, t) => n + t.shape.reduce((a, b) => a * b, 1), 0);
  assert(Math.abs(trunk - 615.1e6) < 0.1e6, String(trunk));
  const blocks = [...spec.encoder!.layers, ...spec.decoder.layers].map((l) => l.feedForward.kind);
  assertEquals([...new Set(blocks)], ["dense"]);
});

Deno.test("an activation or width that cannot run is refused by name", () => {
  const error = assertThrows(
    () => read({ activation_function: "gelu", encoder_attention_heads: 7 }),
    MoqeError,
  );
  assertEquals(error.code, "unsupported");
  for (const fault of ["activation_function", "encoder_attention_heads"]) {
    assert(error.message.includes(fault), fault);
  }
});

Deno.test("a dense model serves with no arena and no slot", async () => {
  const folder = await Deno.makeTempDir({ prefix: "moqe-test-" });
  try {
    const widths = { experts: { bits: 2 }, trunk: { bits: 8 }, embedding: { bits: 8 } } as const;
    const manifest = await packFolder(goldenFolder("baseline", "m2m_100"), folder, widths);
    assertEquals(manifest.expertLayers, []);
    const engine = await loadEngine({
      model: folder,
      device: "cpu",
      gpuMemory: 64 * 2 ** 20,
      hostMemory: 2 ** 30,
      threads: 1,
      maxBatchTokens: 128,
      maxQueue: 16,
      maxSourceTokens: 48,
    }, () => {});
    try {
      const params = {
        texts: ["abc"],
        source: "eng_Latn",
        target: "deu_Latn",
        beams: 2,
        lengthPenalty: 1,
        maxTokens: 12,
        alternatives: 0,
      };
      const [translation] = await engine.translate(params);
      assert(translation!.targetTokens > 0);
      const { ledger, experts } = engine.stats();
      assertEquals(ledger.gpu.lines.arena, 0);
      assertEquals([experts.slots, experts.resident, experts.misses], [0, 0, 0]);
    } finally {
      await engine.close();
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
