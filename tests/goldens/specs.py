"""The tiny checkpoints by architecture: what each one is there to show.

Every entry overrides `BASE`. Those of nllb_moe cover each option of the reference semantics at least twice, both
ways, and each way of storing weights once. `store` says how the folder is written (see tiny.py).
"""

BASE = dict(
    vocab=96,
    d_model=32,
    heads=4,
    ffn=64,
    encoder_layers=2,
    decoder_layers=2,
    experts=4,
    encoder_step=2,
    decoder_step=2,
    moe_token_dropout=0.2,
    router_bias=False,
    normalize_before=False,
    scale_embedding=True,
    std=0.3,
    store="f32",
    # A second beam search under these options is recorded for the checkpoint when set.
    alternative_beam=None,
)

ALTERNATIVE = dict(length_penalty=0.6, early_stopping=True)

NLLB_MOE = {
    # The shape of the 54B model in small: 1 - 0.2 on every expert, no router bias, scaled embeddings.
    "baseline": dict(alternative_beam=ALTERNATIVE),
    # Nothing is scaled after the experts, the router has a bias, probabilities are normalized first.
    "router_bias": dict(
        moe_token_dropout=0.0, router_bias=True, normalize_before=True, heads=2, ffn=96, vocab=112,
        alternative_beam=ALTERNATIVE,
    ),
    # Every layer is sparse; embeddings are not scaled.
    "every_layer": dict(encoder_step=1, decoder_step=1, scale_embedding=False, std=0.35),
    # Only the fourth layer is sparse; stored in f16.
    "step_four": dict(
        encoder_layers=4, decoder_layers=4, encoder_step=4, decoder_step=4, normalize_before=True, std=0.25,
        store="f16",
    ),
    # Sparse encoder, dense decoder, an odd number of experts.
    "dense_decoder": dict(encoder_step=1, decoder_step=0, experts=7, router_bias=True, vocab=101),
    # Dense encoder; three decoder layers of which the second is sparse.
    "dense_encoder": dict(
        encoder_step=0, decoder_step=2, decoder_layers=3, experts=8, moe_token_dropout=0.0, vocab=128,
    ),
    # Names as on the Hub (no `model.`), a width that is no multiple of 32, encoder and decoder of unlike depth.
    "hub_names": dict(
        d_model=48, heads=3, decoder_layers=1, experts=5, encoder_step=2, decoder_step=1,
        store="hub", normalize_before=True, std=0.25,
    ),
    # Several safetensors files and their index.
    "sharded": dict(experts=6, encoder_step=2, decoder_step=2, heads=2, router_bias=True, store="sharded"),
    # Stored in bf16, as the shared checkpoint is.
    "bfloat16": dict(
        d_model=64, ffn=96, decoder_layers=1, encoder_step=2, decoder_step=1, vocab=160, std=0.2, store="bf16",
        scale_embedding=False,
    ),
    # The tied output matrix is in the file too; the encoder is dense because its step lies beyond its layers.
    "lm_head": dict(encoder_step=4, decoder_step=1, moe_token_dropout=0.1, store="lm_head", experts=6, vocab=120),
    # Experts are differences to two bases a layer: not the reference's, whose own whole matrices are compared with.
    "bases": dict(experts=4, encoder_step=1, decoder_step=2, store="bases"),
}


M2M_100 = {
    # The dense relative of the shape that nllb_moe's baseline has.
    "baseline": dict(alternative_beam=ALTERNATIVE),
    # Names as on the Hub, encoder and decoder of unlike depth, width and heads; embeddings are not scaled.
    "hub_names": dict(d_model=48, heads=3, ffn=96, decoder_layers=1, vocab=101, scale_embedding=False, store="hub"),
}

# Options of this architecture alone: head width, buckets, whether lm_head is tied. Steps count as in its configuration.
SWITCH = dict(head_dim=8, buckets=16, max_distance=12, tied=True, std=0.3)
SWITCH_TRANSFORMERS = {
    # As the published ones: every second layer is sparse, lm_head is tied and scaled.
    "baseline": dict(SWITCH, alternative_beam=ALTERNATIVE),
    # Attention narrower than the model, a router with a bias, a lm_head of its own, every layer sparse, unlike
    # depth. transformers ties no embedding then, so the file has all three.
    "untied": dict(SWITCH, d_model=48, heads=5, decoder_layers=1, experts=5, encoder_step=1, decoder_step=1,
                   router_bias=True, tied=False, buckets=8, max_distance=5, vocab=101,
                   store="embeddings"),
    # No step in the configuration, no sparse decoder layer asked for: the reference makes one sparse all the same.
    "counted": dict(SWITCH, encoder_layers=3, decoder_layers=3, encoder_step=None, decoder_step=None, experts=7,
                    buckets=32, max_distance=128, store="f16"),
}

SPECS = {"nllb_moe": NLLB_MOE, "m2m_100": M2M_100, "switch_transformers": SWITCH_TRANSFORMERS}


def spec(architecture: str, name: str) -> dict:
    """The full options of one checkpoint."""
    return {**BASE, "architecture": architecture, **SPECS[architecture][name]}
