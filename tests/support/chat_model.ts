/** Made-up chat models of Qwen3's shape: random bf16 weights as a Hugging Face folder. What they say means nothing. */
import { moqe } from "../cli/moqe.ts";
import { qwen3File } from "../text/byte_level_goldens.ts";
import { safetensors, type TestTensor } from "./safetensors.ts";

/** Control tokens of the small tokenizer, behind its 256 bytes. */
const CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

/** The characters that byte-level tokenizers write bytes as: visible ones of Latin-1, and 68 behind them for the others. */
const BYTES = [[0x21, 0x7e], [0xa1, 0xac], [0xae, 0xff], [0x100, 0x143]].flatMap(([first, last]) =>
  Array.from({ length: last! - first! + 1 }, (_, i) => String.fromCharCode(first! + i))
);

/** ChatML, as Qwen writes it. */
const TEMPLATE = `{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif -%}`;

const SHAPE = {
  model_type: "qwen3_moe",
  architectures: ["Qwen3MoeForCausalLM"],
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  num_experts: 8,
  num_experts_per_tok: 2,
  norm_topk_prob: true,
  rope_theta: 1e6,
  tie_word_embeddings: true,
};

/** What a test may want otherwise. */
export interface ChatModelOptions {
  /** generation_config.json. */
  generation?: object | undefined;
  /** False: tokenizer_config.json has no chat template. */
  hasTemplate?: boolean | undefined;
  contextTokens?: number | undefined;
}

/** Writes a model with a tokenizer of 256 bytes and three control tokens: 2 layers, d_model 32. */
export async function writeTinyChat(folder: string, options: ChatModelOptions = {}): Promise<void> {
  const vocab = Object.fromEntries(BYTES.map((token, id) => [token, id]));
  const tokenizer = {
    version: "1.0",
    added_tokens: CONTROL.map((content, i) => ({ id: 256 + i, content, special: true })),
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: false },
    post_processor: null,
    decoder: { type: "ByteLevel" },
    model: { type: "BPE", vocab, merges: [] },
  };
  const config = {
    ...SHAPE,
    vocab_size: 256 + CONTROL.length,
    hidden_size: 32,
    head_dim: 8,
    intermediate_size: 64,
    moe_intermediate_size: 32,
    max_position_embeddings: options.contextTokens ?? 4096,
    eos_token_id: 256,
  };
  const tokenizerConfig = { eos_token: "<|im_end|>", chat_template: TEMPLATE };
  await write(folder, { config, tokenizer, tokenizerConfig }, options);
}

/** Writes a model with Qwen3's own tokenizer and chat template: 2 layers, d_model 64, a vocabulary of 151,936. */
export async function writeQwen3Chat(
  folder: string,
  options: ChatModelOptions = {},
): Promise<void> {
  const config = {
    ...SHAPE,
    vocab_size: 151936,
    hidden_size: 64,
    head_dim: 16,
    intermediate_size: 128,
    moe_intermediate_size: 64,
    max_position_embeddings: options.contextTokens ?? 40960,
    eos_token_id: 151645,
  };
  const tokenizer = await qwen3File("tokenizer.json");
  const tokenizerConfig = await qwen3File("tokenizer_config.json");
  await write(folder, { config, tokenizer, tokenizerConfig }, options);
}

/** Writes a model beside `out` and packs it there by the command line, without --pairs unless given. Answers `out`. */
export async function packChat(
  write: (folder: string, options?: ChatModelOptions) => Promise<void>,
  out: string,
  options: ChatModelOptions & { pairs?: string } = {},
): Promise<string> {
  const checkpoint = `${out}-checkpoint`;
  await write(checkpoint, options);
  const pairs = options.pairs === undefined ? [] : ["--pairs", options.pairs];
  const packed = await moqe(["pack", checkpoint, out, "--licence", "CC0-1.0", ...pairs]);
  await Deno.remove(checkpoint, { recursive: true });
  if (packed.code !== 0 || packed.err !== "") throw new Error(packed.err);
  return out;
}

type Config = typeof SHAPE & {
  vocab_size: number;
  hidden_size: number;
  head_dim: number;
  moe_intermediate_size: number;
};

async function write(
  folder: string,
  { config, tokenizer, tokenizerConfig }: {
    config: Config;
    tokenizer: object;
    tokenizerConfig: object;
  },
  { generation, hasTemplate = true }: ChatModelOptions,
): Promise<void> {
  const { chat_template: _, ...without } = tokenizerConfig as { chat_template?: string };
  const files: Record<string, object> = {
    "config.json": config,
    "tokenizer.json": tokenizer,
    "tokenizer_config.json": hasTemplate ? tokenizerConfig : without,
    ...generation && { "generation_config.json": generation },
  };
  await Deno.mkdir(folder, { recursive: true });
  for (const [name, json] of Object.entries(files)) {
    await Deno.writeTextFile(`${folder}/${name}`, JSON.stringify(json));
  }
  await Deno.writeFile(`${folder}/model.safetensors`, safetensors(tensorsOf(config)));
}

function tensorsOf(config: Config): Record<string, TestTensor> {
  const { hidden_size: d, head_dim, moe_intermediate_size: width } = config;
  const q = config.num_attention_heads * head_dim, kv = config.num_key_value_heads * head_dim;
  const tensors: Record<string, TestTensor> = {}, next = random(7);
  const add = (name: string, ...shape: number[]) => {
    tensors[`model.${name}.weight`] = shape.length === 1 ? ones(shape) : drawn(shape, next);
  };
  add("embed_tokens", config.vocab_size, d);
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const base = `layers.${i}`;
    add(`${base}.input_layernorm`, d);
    add(`${base}.post_attention_layernorm`, d);
    add(`${base}.self_attn.q_proj`, q, d);
    add(`${base}.self_attn.k_proj`, kv, d);
    add(`${base}.self_attn.v_proj`, kv, d);
    add(`${base}.self_attn.o_proj`, d, q);
    add(`${base}.self_attn.q_norm`, head_dim);
    add(`${base}.self_attn.k_norm`, head_dim);
    add(`${base}.mlp.gate`, config.num_experts, d);
    for (let e = 0; e < config.num_experts; e++) {
      add(`${base}.mlp.experts.${e}.gate_proj`, width, d);
      add(`${base}.mlp.experts.${e}.up_proj`, width, d);
      add(`${base}.mlp.experts.${e}.down_proj`, d, width);
    }
  }
  add("norm", d);
  return tensors;
}

/** A linear congruential generator: the high half of its state is used. */
function random(state: number): () => number {
  return () => (state = Math.imul(state, 1664525) + 1013904223 >>> 0) >>> 16;
}

function bf16(shape: number[], value: () => number): TestTensor {
  const data = new Uint16Array(shape.reduce((a, b) => a * b, 1));
  for (let i = 0; i < data.length; i++) data[i] = value();
  return { dtype: "BF16", shape, data: new Uint8Array(data.buffer) };
}

const ones = (shape: number[]) => bf16(shape, () => 0x3f80);

/** Values of either sign whose size is between 1/8 and 1/2. */
const drawn = (shape: number[], next: () => number) =>
  bf16(shape, () => {
    const bits = next();
    return (bits & 0x8000) | (0x3e00 + (bits & 0xff));
  });
