/** config.json of decoder-only families: what contradicts itself or is not run is refused by name, before weights are read. */
import { assert, assertEquals } from "@std/assert";
import { architectureOf } from "../../src/arch/registry.ts";
import { MoqeError } from "../../src/base/errors.ts";
import { moqe } from "../cli/moqe.ts";
import { type DecoderFamily, DECODERS } from "../support/decoders.ts";
import { GOLDENS } from "../support/golden.ts";
import { temporaryFolder } from "../support/safetensors.ts";

type Config = Record<string, unknown>;

const read = (config: Config) => architectureOf(config).read(config);
/** What decides a result; functions of the plan are left out by JSON. */
const meaning = (config: Config) => JSON.parse(JSON.stringify(read(config)));
const baseline = (family: DecoderFamily): Config =>
  JSON.parse(Deno.readTextFileSync(new URL(`${family}/baseline/config.json`, GOLDENS)));

/** Options of each family's configuration class (transformers 4.57.6) by what they take. */
const COUNTS = [
  "vocab_size",
  "hidden_size",
  "intermediate_size",
  "num_hidden_layers",
  "num_attention_heads",
  "num_key_value_heads",
  "max_position_embeddings",
  "num_experts_per_tok",
];
const POSITIVE = ["rms_norm_eps", "rope_theta"];
const FLAGS = ["tie_word_embeddings"];
const OF: Record<DecoderFamily, { counts: string[]; positive: string[]; flags: string[] }> = {
  qwen3_moe: {
    counts: ["num_experts", "moe_intermediate_size", "decoder_sparse_step", "head_dim"],
    positive: [],
    flags: ["attention_bias", "norm_topk_prob", "use_sliding_window"],
  },
  olmoe: {
    counts: ["num_experts"],
    positive: ["clip_qkv"],
    flags: ["attention_bias", "norm_topk_prob"],
  },
  mixtral: { counts: ["num_local_experts", "sliding_window", "head_dim"], positive: [], flags: [] },
  granitemoe: {
    counts: ["num_local_experts"],
    positive: [
      "embedding_multiplier",
      "logits_scaling",
      "residual_multiplier",
      "attention_multiplier",
    ],
    flags: ["attention_bias"],
  },
  gpt_oss: {
    counts: ["num_local_experts", "sliding_window", "head_dim"],
    positive: [],
    flags: ["attention_bias"],
  },
};

/** Options that say something of training or of what is returned, and nothing of a result. */
const WITHOUT_EFFECT: Config = {
  attention_dropout: 0.5,
  router_jitter_noise: 0.1,
  router_aux_loss_coef: 0.9,
  output_router_logits: true,
  use_cache: false,
  initializer_range: 9,
  torch_dtype: "float16",
  dtype: "bfloat16",
  transformers_version: "4.57.6",
  architectures: ["Other"],
  max_window_layers: 1,
  initial_context_length: 7,
};

/** What is refused of every family: the change, and the words that name it. */
const REFUSED: [Config, string][] = [
  [{ hidden_act: "gelu" }, 'hidden_act is "gelu"'],
  [{ hidden_act: "relu" }, 'hidden_act is "relu"'],
  [{ hidden_act: "gelu_pytorch_tanh" }, "hidden_act"],
  [{ hidden_act: 3 }, "hidden_act"],
  [{ num_key_value_heads: 3 }, "num_key_value_heads 3 does not divide num_attention_heads"],
  [{ num_experts_per_tok: 17 }, "num_experts_per_tok is 17"],
  [{ num_experts_per_tok: 1000 }, "num_experts_per_tok is 1000"],
  [{ pad_token_id: 1 << 20 }, "pad_token_id"],
  [{ eos_token_id: "</s>" }, "eos_token_id"],
  [{ partial_rotary_factor: 0.5 }, "partial_rotary_factor is 0.5"],
  [{ partial_rotary_factor: 2 }, "partial_rotary_factor is 2"],
  [{ rope_scaling: "linear" }, "rope_scaling"],
  [{ rope_scaling: { rope_type: "dynamic", factor: 2 } }, 'rope_type is "dynamic"'],
  [{ rope_scaling: { type: "dynamic", factor: 2 } }, 'rope_type is "dynamic"'],
  [
    { rope_scaling: { rope_type: "longrope", short_factor: [1], long_factor: [1] } },
    'rope_type is "longrope"',
  ],
  [{ rope_scaling: { rope_type: "mrope", mrope_section: [1, 1] } }, 'rope_type is "mrope"'],
  [{ rope_scaling: { rope_type: "proportional" } }, 'rope_type is "proportional"'],
  [{ rope_scaling: { rope_type: "linear" } }, "linear has no factor"],
  [{ rope_scaling: { rope_type: "linear", factor: -2 } }, "factor"],
  [{ rope_scaling: { rope_type: "linear", factor: "2" } }, "factor"],
  [{ rope_scaling: { rope_type: "linear", type: "yarn", factor: 2 } }, "type is yarn"],
  [{ rope_scaling: { rope_type: "yarn" } }, "yarn has no factor"],
  [{ rope_scaling: { rope_type: "yarn", factor: 2, beta_fast: 1, beta_slow: 4 } }, "beta_fast"],
  [{ rope_scaling: { rope_type: "yarn", factor: 2, truncate: "no" } }, "truncate"],
  [{ rope_scaling: { rope_type: "yarn", factor: 2, attention_factor: 0 } }, "attention_factor"],
  [{ rope_scaling: { rope_type: "yarn", factor: 2 }, rope_theta: 1 }, "rope_theta is 1"],
  [{ rope_scaling: { rope_type: "llama3", factor: 8 } }, "llama3 has no low_freq_factor"],
  [
    {
      rope_scaling: {
        rope_type: "llama3",
        factor: 8,
        low_freq_factor: 4,
        high_freq_factor: 4,
        original_max_position_embeddings: 64,
      },
    },
    "high_freq_factor 4 is not above",
  ],
  [{ rope_parameters: { rope_type: "dynamic", factor: 2 } }, 'rope_type is "dynamic"'],
  [{ rope_parameters: { rope_type: "default", partial_rotary_factor: 0.25 } }, "is 0.25"],
  [{ rope_parameters: { rope_type: "default", rope_theta: 5 }, rope_theta: 7 }, "7 and 5"],
  [
    { rope_parameters: { rope_type: "default" }, rope_scaling: { rope_type: "linear", factor: 2 } },
    "rope_parameters and rope_scaling",
  ],
  [
    {
      rope_parameters: {
        full_attention: { rope_type: "default" },
        sliding_attention: { rope_type: "default" },
      },
      rope_scaling: null,
    },
    "full_attention",
  ],
  [{ quantization_config: { quant_method: "fp8" } }, "quantization_config is of fp8"],
  [{ quantization_config: { quant_method: "gptq", bits: 4 } }, "quantization_config is of gptq"],
  [{ quantization_config: { quant_method: "awq" } }, "quantization_config is of awq"],
  [{ quantization_config: {} }, "quantization_config"],
];

/** What is refused of one family alone. */
const REFUSED_OF: Record<DecoderFamily, [Config, string][]> = {
  qwen3_moe: [
    [{ head_dim: 7 }, "head_dim is 7"],
    [{ mlp_only_layers: [-1] }, "mlp_only_layers"],
    [{ mlp_only_layers: "all" }, "mlp_only_layers"],
    [{ use_sliding_window: true, sliding_window: 0 }, "sliding_window"],
    [{ num_experts: 1 }, "num_experts_per_tok"],
    [{ head_dim: null, hidden_size: 33 }, "hidden_size 33"],
  ],
  olmoe: [
    [{ head_dim: 4 }, "head_dim is 4"],
    [{ hidden_size: 33 }, "hidden_size 33"],
    [{ hidden_size: 20 }, "head_dim is 5"],
    [{ clip_qkv: 0 }, "clip_qkv"],
  ],
  mixtral: [[{ head_dim: 9 }, "head_dim is 9"], [{ sliding_window: -1 }, "sliding_window"]],
  granitemoe: [
    [{ head_dim: 4 }, "head_dim is 4"],
    [{ position_embedding_type: "nope" }, 'position_embedding_type is "nope"'],
    [{ logits_scaling: 0 }, "logits_scaling"],
  ],
  gpt_oss: [
    [{ layer_types: ["full_attention"] }, "layer_types are 1 of 2"],
    [{ layer_types: ["full_attention", "chunked_attention"] }, "layer_types"],
    [{ swiglu_limit: 9 }, "swiglu_limit is 9"],
    [{ sliding_window: null }, "sliding_window"],
  ],
};

function assertRefused(config: Config, change: Config, words: string): void {
  const what = JSON.stringify(change);
  let read: unknown;
  try {
    read = meaning({ ...config, ...change });
  } catch (error) {
    assert(error instanceof MoqeError && ["unsupported", "corrupt"].includes(error.code), what);
    assert(error.message.includes(words), `${what}: ${error.message}`);
    return;
  }
  throw new Error(`${what} was read as ${JSON.stringify(read)}`);
}

for (const family of DECODERS) {
  Deno.test(`${family}: options of a wrong kind are named`, () => {
    const config = baseline(family), { counts, positive, flags } = OF[family];
    const wrong = ["x", -3, [], {}, true];
    const changes = [
      ...[...COUNTS, ...counts].flatMap((name) =>
        [...wrong, 0.5, 1e12, NaN].map((v) => ({ name, v }))
      ),
      ...[...POSITIVE, ...positive].flatMap((name) =>
        [...wrong, 0, Infinity].map((v) => ({ name, v }))
      ),
      ...[...FLAGS, ...flags].flatMap((name) => ["x", 3, [], {}].map((v) => ({ name, v }))),
    ];
    assert(changes.length > 60);
    for (const { name, v } of changes) assertRefused(config, { [name]: v }, name);
    for (const name of ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"]) {
      assertRefused(config, { [name]: undefined }, name);
    }
  });

  Deno.test(`${family}: contradictions and what is not run are refused by name`, () => {
    const config = baseline(family);
    for (const [change, words] of [...REFUSED, ...REFUSED_OF[family]]) {
      assertRefused(config, change, words);
    }
    // Several at once are all named.
    const many = { hidden_act: "gelu", partial_rotary_factor: 0.5, num_experts_per_tok: 17 };
    for (const name of Object.keys(many)) assertRefused(config, many, name);
  });

  Deno.test(`${family}: options of training change nothing, and newer files read as older ones`, () => {
    const config = baseline(family), expected = meaning(config);
    assertEquals(meaning({ ...config, ...WITHOUT_EFFECT }), expected);
    const { rope_theta, rope_scaling, ...rest } = config;
    const rope_parameters = {
      rope_type: "default",
      ...rope_scaling as Config | null,
      rope_theta,
    };
    assertEquals(meaning({ ...rest, rope_parameters }), expected);
    assertEquals(meaning({ ...config, rope_parameters }), expected, "both, with one meaning");
    assertEquals(meaning({ ...config, partial_rotary_factor: 1 }), expected);
  });
}

Deno.test("a refused configuration ends a pack before a weight is looked for", async () => {
  const config = { ...baseline("qwen3_moe"), hidden_act: "gelu" };
  using folder = temporaryFolder({
    "config.json": JSON.stringify(config),
    "tokenizer.json": "{}",
    "model.safetensors": "not read",
  });
  const args = ["pack", folder.path, `${folder.path}/out`, "--licence", "CC0-1.0"];
  const { code, err } = await moqe(args);
  assertEquals(code, 1, err);
  assert(err.includes('hidden_act is "gelu", only "silu" is run'), err);
});
