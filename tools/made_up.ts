/**
 * Packed models of published shapes with random weights, for measuring speed and memory: what they say means nothing.
 *
 *   deno run -A --lock=dev.lock tools/made_up.ts olmoe-1b-7b|qwen3-30b-a3b OUT
 *
 * 2-bit experts in groups of 64, a 4-bit trunk; 2.1 and 9 GB.
 */
import { FileStore } from "../src/store/file_store.ts";
import { largeTokenizer, writeLargeModel } from "../tests/support/large_model.ts";

const COMMON = { hidden_size: 2048, tie_word_embeddings: false, eos_token_id: 2 };

/** The published configurations, as far as they decide shapes. */
const CONFIGS = {
  "olmoe-1b-7b": {
    ...COMMON,
    model_type: "olmoe",
    vocab_size: 50304,
    intermediate_size: 1024,
    num_hidden_layers: 16,
    num_attention_heads: 16,
    num_key_value_heads: 16,
    num_experts: 64,
    num_experts_per_tok: 8,
    max_position_embeddings: 4096,
  },
  "qwen3-30b-a3b": {
    ...COMMON,
    model_type: "qwen3_moe",
    vocab_size: 151936,
    intermediate_size: 6144,
    moe_intermediate_size: 768,
    num_hidden_layers: 48,
    num_attention_heads: 32,
    num_key_value_heads: 4,
    head_dim: 128,
    num_experts: 128,
    num_experts_per_tok: 8,
    norm_topk_prob: true,
    rope_theta: 1e6,
    max_position_embeddings: 40960,
  },
};

const [name, out] = Deno.args;
const config = CONFIGS[name as keyof typeof CONFIGS];
if (config === undefined || out === undefined) {
  console.error(`made_up.ts ${Object.keys(CONFIGS).join("|")} OUT`);
  Deno.exit(2);
}
await writeLargeModel(config, new FileStore(out), {
  name: name!,
  pairs: [],
  licence: { id: "CC0-1.0" },
  experts: { bits: 2 },
  trunk: { bits: 4 },
  embedding: { bits: 4 },
}, largeTokenizer(config.vocab_size, []));
console.log(`${name} written to ${out}`);
