/**
 * NLLB-MoE-54B's shape with narrow layers: all 48 layers, 1,536 experts and 256,206 pieces, served by ranges to a real
 * process under the least budgets. The whole model is tests/manual/large_on_small.ts.
 */
import { assert, assertEquals } from "@std/assert";
import { architectureOf } from "../../src/arch/registry.ts";
import { divideBudget } from "../../src/engine/budget.ts";
import { hostNeed } from "../../src/engine/host_budget.ts";
import type { Manifest } from "../../src/store/manifest.ts";
import { LANGUAGES } from "../../src/text/languages.ts";
import { Served } from "../http/served.ts";
import { ChunkStore, serveChunks } from "../support/chunk_store.ts";
import { largeTokenizer, writeLargeModel } from "../support/large_model.ts";
import { NLLB_MOE_54B } from "../support/nllb_54b.ts";
import { peakBytes } from "../support/peak.ts";
import { leastOf } from "../support/least.ts";
import { needs } from "../support/needs.ts";

const MIB = 2 ** 20;

/** Writes the narrow model with so many experts a layer. */
async function write(store: ChunkStore, experts: number, tokenizer: unknown): Promise<Manifest> {
  const config = {
    ...NLLB_MOE_54B,
    d_model: 64,
    encoder_attention_heads: 4,
    decoder_attention_heads: 4,
    encoder_ffn_dim: 128,
    decoder_ffn_dim: 128,
    num_experts: experts,
  };
  return await writeLargeModel(config, store, {
    name: "narrow-54b",
    pairs: ["eng_Latn-deu_Latn"],
    licence: { id: "CC0-1.0" },
    experts: { bits: 2 },
    trunk: { bits: 4 },
    embedding: { bits: 4 },
  }, tokenizer);
}

/** What the budgets must hold at the least for a model, its manifest and routers aside. */
function least(manifest: Manifest): { gpu: number; host: number } {
  const { plan, spec } = architectureOf(manifest.config).read(manifest.config);
  const { leastBytes } = divideBudget(manifest, plan, spec, {
    gpuBytes: 2 ** 30,
    scratchBytes: 0,
    maxBatchTokens: 128,
    maxSourceTokens: 64,
    kvBits: 16,
  });
  const routers = plan.tensors.filter((t) => t.name.includes(".router."));
  const need = hostNeed(manifest, { rssBytes: 0, manifestBytes: 0, tokenizerBytes: 0, threads: 1 });
  return {
    gpu: leastBytes - routers.reduce((n, t) => n + t.shape.reduce((a, b) => a * b, 4), 0),
    host: Object.values(need).reduce((a, b) => a + b, 0),
  };
}

Deno.test({
  name:
    "1,536 experts and 256,206 pieces run within the least budgets, whatever the number of experts",
  ...needs("linux"),
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "moqe-test-" });
    const few = new ChunkStore(`${folder}/few`), all = new ChunkStore(`${folder}/all`);
    const origin = serveChunks(all);
    try {
      const languages = LANGUAGES.map((l) => l.flores);
      const tokenizer = largeTokenizer(NLLB_MOE_54B.vocab_size, languages);
      const manifest = await write(all, 128, tokenizer);
      assertEquals(manifest.expertLayers.reduce((n, l) => n + l.experts.length, 0), 1536);
      const hashes = manifest.expertLayers.flatMap((l) => l.experts.map((e) => e.block.sha256));
      assertEquals(new Set(hashes).size, 1536);
      const whole = least(manifest), small = least(await write(few, 2, tokenizer));
      assertEquals(whole.host, small.host);
      // A place of four bytes an expert, in the tables by which steps find slots.
      assert(whole.gpu - small.gpu <= 4 * 1536, `${whole.gpu - small.gpu} bytes more`);

      const flags = ["--model", origin.url, "--threads", "1"];
      const gpu = await leastOf("gpu", ["--host-memory", "2GiB", ...flags]);
      const host = await leastOf("host", ["--gpu-memory", `${gpu}MiB`, ...flags]);
      const before = origin.bytes;
      const served = await Served.start([
        ...["--gpu-memory", `${gpu}MiB`, "--host-memory", `${host}MiB`],
        ...flags,
      ]);
      const answer = await served.translate({
        q: "We would like to know whether the committee has decided.",
        source: "en",
        target: "de",
        max_tokens: 8,
      });
      const body = await answer.text();
      assertEquals(answer.status, 200, body);
      const peak = await peakBytes(served.child.pid);
      assert(peak <= (gpu + host) * MIB, `peak ${peak / MIB} MiB is over ${gpu} + ${host} MiB`);
      const slots = await served.metric(`moqe_expert_slots{state="total"}`);
      assert(slots < 1536 && slots >= 2, `${slots} slots`);
      assert(origin.bytes > before);
      assertEquals(await served.end(), 0);
    } finally {
      await origin.close();
      few.close();
      all.close();
      await Deno.remove(folder, { recursive: true });
    }
  },
});
