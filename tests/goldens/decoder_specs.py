"""The tiny decoder-only checkpoints by family: what each one is there to show.

`config` is what the family's configuration gets beyond `SHAPE`; `store` is how the folder is written (see
decoder_models.py); `write` and `drop` then change config.json itself. `eos` says where end tokens are written: a list in
generation_config.json, or one id in config.json and no generation_config.json. The widths are those of random weights.
"""

SHAPE = dict(vocab_size=96, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             intermediate_size=6, max_position_embeddings=256)
BASE = dict(store="f32", write={}, drop=(), eos=None, lengths=[3, 14, 37], limit=False,
            embedding=0.5, router=1.5, head=3.0, attention=1.2, first=1.2, second=2.5)

LINEAR = dict(rope_type="linear", factor=4.0)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)
YARN = dict(rope_type="yarn", factor=4.0, beta_fast=3.0, beta_slow=1.0, original_max_position_embeddings=64)
SLIDING, FULL = "sliding_attention", "full_attention"

QWEN3 = dict(head_dim=8, num_experts=5, num_experts_per_tok=2, moe_intermediate_size=6, intermediate_size=20,
             norm_topk_prob=True)
QWEN3_MOE = {
    # As the published ones: every layer sparse, shares divided by their sum, heads wider than d_model / heads.
    "baseline": dict(config=dict(rope_theta=1e6, head_dim=12), eos="list"),
    # Shares are not divided; one expert a token, one key head.
    "raw_shares": dict(config=dict(norm_topk_prob=False, num_experts_per_tok=1, num_key_value_heads=1)),
    # The first of three layers is dense; every head has keys of its own; shares are not divided.
    "dense_first": dict(config=dict(num_hidden_layers=3, mlp_only_layers=[0], norm_topk_prob=False,
                                    num_experts_per_tok=3, num_key_value_heads=4), store="bf16"),
    # Every second layer is sparse.
    "sparse_step": dict(config=dict(num_hidden_layers=3, decoder_sparse_step=2), lengths=[5, 16, 40]),
    # Of the layers 1 and 3 that the step makes sparse, one is dense by name.
    "step_and_dense": dict(config=dict(num_hidden_layers=4, decoder_sparse_step=2, mlp_only_layers=[1], num_experts=8),
                           store="bf16"),
    # Biases on q, k, v and o; the output matrix is the embedding.
    "biases_tied": dict(config=dict(attention_bias=True, tie_word_embeddings=True), eos="one"),
    "linear": dict(config=dict(rope_scaling=LINEAR, num_experts_per_tok=4, head_dim=10)),
    # The older name of rope_type.
    "linear_type": dict(config=dict(rope_scaling=LINEAR, attention_bias=True), store="bf16",
                        write=dict(rope_scaling=dict(type="linear", factor=4.0))),
    "yarn": dict(config=dict(rope_scaling=YARN, rope_theta=1000.0, head_dim=16), store="bf16"),
    # Yarn whose magnitude is a quotient; the count of key heads is left to its default, which is 4.
    "mscale": dict(config=dict(rope_scaling={**YARN, "mscale": 1.5, "mscale_all_dim": 0.5}, rope_theta=1000.0,
                               num_attention_heads=8, num_key_value_heads=4), drop=("num_key_value_heads",)),
    # No layer has experts.
    "dense": dict(config=dict(num_experts=0)),
    "llama3": dict(config=dict(rope_scaling=LLAMA3)),
    # A window shorter than the prompts.
    "sliding": dict(config=dict(use_sliding_window=True, sliding_window=8)),
    # A window that is configured but not used; several files.
    "window_off_sharded": dict(config=dict(), store="sharded",
                               write=dict(sliding_window=8, use_sliding_window=False, max_window_layers=2)),
    # Eight experts of 16.
    "top_eight": dict(config=dict(num_experts=16, num_experts_per_tok=8), store="bf16"),
    # Widths that are no multiple of 4 (but d_model), and a large eps.
    "odd": dict(config=dict(vocab_size=97, hidden_size=36, num_attention_heads=3, num_key_value_heads=1, head_dim=10,
                            num_experts_per_tok=3, moe_intermediate_size=7, rms_norm_eps=0.02)),
    # Tensors of other parts of a model, to be left out.
    "left_out": dict(config=dict(num_experts_per_tok=3), store="left_out", write=dict(torch_dtype="float32"), drop=("dtype",)),
}

OLMOE = dict(num_experts=5, num_experts_per_tok=2, num_key_value_heads=4)
OLMOE_MODELS = {
    # As the published one: eight experts of many, shares as the softmax gave them, every head with keys of its own.
    "baseline": dict(config=dict(num_experts=16, num_experts_per_tok=8), store="bf16", eos="one"),
    "clip": dict(config=dict(clip_qkv=0.9, num_experts_per_tok=4)),
    # Shares divided by their sum; fewer key heads, whose norm spans less.
    "normed_grouped": dict(config=dict(norm_topk_prob=True, num_key_value_heads=2, clip_qkv=1.2)),
    "biases_tied": dict(config=dict(attention_bias=True, tie_word_embeddings=True, num_experts_per_tok=1)),
    # One key head, a head width of 12, an odd count of rows.
    "odd": dict(config=dict(vocab_size=101, hidden_size=36, num_attention_heads=3, num_key_value_heads=1,
                            intermediate_size=7, num_experts_per_tok=3, norm_topk_prob=True, rms_norm_eps=0.02)),
    "llama3": dict(config=dict(rope_scaling=LLAMA3, rope_theta=5e5), store="bf16"),
}

MIXTRAL = dict(num_local_experts=5, num_experts_per_tok=2)
MIXTRAL_MODELS = {
    # As the published one.
    "baseline": dict(config=dict(num_local_experts=8, rope_theta=1e6), eos="list", store="bf16"),
    "sliding": dict(config=dict(sliding_window=6), lengths=[5, 16, 40]),
    # One expert a token: its share is 1.
    "top_one": dict(config=dict(num_experts_per_tok=1, num_key_value_heads=1, rope_theta=1e4)),
    # Heads wider than d_model / heads; the file has the tied output matrix, too.
    "top_four_tied": dict(config=dict(num_experts_per_tok=4, num_local_experts=6, head_dim=12, tie_word_embeddings=True),
                          store="lm_head"),
    # Every expert is chosen.
    "all_experts": dict(config=dict(num_experts_per_tok=4, num_local_experts=4, num_key_value_heads=4, sliding_window=16)),
    "odd": dict(config=dict(vocab_size=101, hidden_size=36, num_attention_heads=3, num_key_value_heads=3, head_dim=10,
                            intermediate_size=7, num_experts_per_tok=3, rms_norm_eps=0.02)),
}

GRANITE = dict(num_local_experts=5, num_experts_per_tok=2)
MULTIPLIERS = dict(embedding_multiplier=12.0, logits_scaling=6.0, residual_multiplier=0.4, attention_multiplier=0.25)
GRANITE_MOE = {
    # As the published ones: all four multipliers, eight experts, the output matrix is the embedding.
    "baseline": dict(config=dict(**MULTIPLIERS, num_local_experts=12, num_experts_per_tok=8, tie_word_embeddings=True),
                     embedding=0.02, store="bf16", eos="one"),
    # No multiplier at all: scores are not divided by anything.
    "plain": dict(config=dict(num_key_value_heads=4), attention=0.8),
    "embedding": dict(config=dict(embedding_multiplier=8.0, num_experts_per_tok=1), embedding=0.06, attention=0.8),
    "residual_logits": dict(config=dict(residual_multiplier=0.3, logits_scaling=4.0, num_key_value_heads=1), attention=0.8),
    "attention_biases": dict(config=dict(attention_multiplier=0.2, attention_bias=True, num_experts_per_tok=4)),
    "llama3": dict(config=dict(**MULTIPLIERS, rope_scaling=LLAMA3), embedding=0.06, store="bf16"),
    "odd": dict(config=dict(**MULTIPLIERS, vocab_size=101, hidden_size=36, num_attention_heads=3, num_key_value_heads=1,
                            intermediate_size=7, num_experts_per_tok=3, rms_norm_eps=0.02), embedding=0.06),
}

# What the published ones configure, but for the original length.
GPT_OSS_YARN = dict(rope_type="yarn", factor=32.0, beta_fast=32.0, beta_slow=1.0, truncate=False,
                    original_max_position_embeddings=4096)
OSS = dict(num_local_experts=6, num_experts_per_tok=4, head_dim=8, sliding_window=8, rope_theta=150000.0)
GPT_OSS = {
    # As the published ones: four experts, sliding and full layers in turn, yarn between whole dimensions.
    "baseline": dict(config=dict(rope_scaling=GPT_OSS_YARN, head_dim=16), store="bf16", eos="list",
                     write=dict(swiglu_limit=7.0, initial_context_length=4096)),
    # The same with experts in MXFP4, as published.
    "mxfp4": dict(config=dict(rope_scaling=GPT_OSS_YARN, hidden_size=64, intermediate_size=32, num_local_experts=4,
                              num_experts_per_tok=2), store="mxfp4"),
    # Rows of one group into the experts and of three out of them.
    "mxfp4_wide": dict(config=dict(rope_scaling=None, rope_theta=1e4, intermediate_size=96, num_local_experts=4,
                                   num_experts_per_tok=1, num_key_value_heads=1), store="mxfp4", eos="one"),
    # Yarn rounds its range to whole dimensions unless told otherwise.
    "truncate": dict(config=dict(rope_scaling=YARN, rope_theta=1000.0, head_dim=16), store="bf16"),
    "no_scaling": dict(config=dict(rope_scaling=None, num_experts_per_tok=1, num_key_value_heads=4), lengths=[5, 16, 40]),
    "no_biases_tied": dict(config=dict(rope_scaling=None, attention_bias=False, tie_word_embeddings=True,
                                       num_experts_per_tok=2, num_key_value_heads=1)),
    # Layers in another order; one window of 16.
    "layer_types": dict(config=dict(rope_scaling=None, num_hidden_layers=3, layer_types=[FULL, SLIDING, SLIDING],
                                    sliding_window=16, num_local_experts=4, num_experts_per_tok=2)),
    # Gates and products over the limit of 7.
    "limit": dict(config=dict(rope_scaling={**YARN, "attention_factor": 1.3}, rope_theta=1000.0, head_dim=16,
                              layer_types=[FULL, FULL]), first=6.0, second=0.2, limit=True),
    "odd": dict(config=dict(rope_scaling=LLAMA3, vocab_size=101, hidden_size=36, num_attention_heads=3,
                            num_key_value_heads=3, head_dim=10, intermediate_size=7, num_experts_per_tok=3,
                            rms_norm_eps=0.02, sliding_window=5)),
}

SPECS = {
    "qwen3_moe": (QWEN3, QWEN3_MOE),
    "olmoe": (OLMOE, OLMOE_MODELS),
    "mixtral": (MIXTRAL, MIXTRAL_MODELS),
    "granitemoe": (GRANITE, GRANITE_MOE),
    "gpt_oss": (OSS, GPT_OSS),
}


def spec(family: str, name: str) -> dict:
    """The full options of one checkpoint."""
    common, specs = SPECS[family]
    options = {**BASE, "family": family, **specs[name]}
    return {**options, "config": {**SHAPE, **common, **options["config"]}}
