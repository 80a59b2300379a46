"""Random models small enough to commit, and their folders in Hugging Face layout."""

import json
import pathlib
import shutil
import tempfile

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForSeq2SeqLM,
    GenerationConfig,
    M2M100Config,
    NllbMoeConfig,
    PretrainedConfig,
    PreTrainedModel,
    SwitchTransformersConfig,
)

import bases

LANGUAGES = ["eng_Latn", "deu_Latn", "fra_Latn", "spa_Latn", "zho_Hans"]
PIECES = "▁etaoinshrdlucmfwypvbgkqjxzETAOINSHRDLUCMFWYPVBGKQJXZ0123456789.,;:!?'\"()-/&%+=*#@<>[]_$~^{}|\\äöüßéèàçñ¿¡êîôû"
SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]
SPECIALS_OF_T5 = ["<pad>", "</s>", "<unk>"]
BASES, BASE_STEP = 2, 2.0**-10


def speaks_languages(config: PretrainedConfig) -> bool:
    """Whether sentences have language tokens: all but T5's relatives."""
    return config.model_type != "switch_transformers"


def language_ids(config: PretrainedConfig) -> list[int]:
    """Ids of LANGUAGES: the places before `<mask>`, which is last, as in NLLB's vocabulary. Empty without languages."""
    last = config.vocab_size - 1
    return list(range(last - len(LANGUAGES), last)) if speaks_languages(config) else []


def word_ids(config: PretrainedConfig) -> range:
    """Ids that mean text."""
    specials = SPECIALS if speaks_languages(config) else SPECIALS_OF_T5
    return range(len(specials), config.vocab_size - 1 - len(language_ids(config)))


def fairseq_options(options: dict) -> dict:
    """What NLLB-MoE and M2M100 configure alike."""
    return dict(
        vocab_size=options["vocab"],
        max_position_embeddings=64,
        d_model=options["d_model"],
        encoder_layers=options["encoder_layers"],
        decoder_layers=options["decoder_layers"],
        encoder_ffn_dim=options["ffn"],
        decoder_ffn_dim=options["ffn"],
        encoder_attention_heads=options["heads"],
        decoder_attention_heads=options["heads"],
        scale_embedding=options["scale_embedding"],
        init_std=options["std"],
        activation_function="relu",
        dropout=0.0,
        attention_dropout=0.0,
        encoder_layerdrop=0.0,
        decoder_layerdrop=0.0,
    )


def nllb_moe(options: dict) -> NllbMoeConfig:
    return NllbMoeConfig(
        **fairseq_options(options),
        num_experts=options["experts"],
        encoder_sparse_step=options["encoder_step"],
        decoder_sparse_step=options["decoder_step"],
        moe_token_dropout=options["moe_token_dropout"],
        router_bias=options["router_bias"],
        normalize_router_prob_before_dropping=options["normalize_before"],
        second_expert_policy="all",
        batch_prioritized_routing=False,
        moe_eval_capacity_token_fraction=1.0,
    )


def m2m_100(options: dict) -> M2M100Config:
    return M2M100Config(**fairseq_options(options))


def switch_transformers(options: dict) -> SwitchTransformersConfig:
    steps = {f"{stack}_sparse_step": options[f"{stack}_step"] for stack in ["encoder", "decoder"]}
    counts = dict(num_sparse_encoder_layers=1, num_sparse_decoder_layers=0)
    return SwitchTransformersConfig(
        vocab_size=options["vocab"],
        d_model=options["d_model"],
        d_kv=options["head_dim"],
        d_ff=options["ffn"],
        num_heads=options["heads"],
        num_layers=options["encoder_layers"],
        num_decoder_layers=options["decoder_layers"],
        num_experts=options["experts"],
        **({name: step for name, step in steps.items() if step is not None} or counts),
        router_bias=options["router_bias"],
        relative_attention_num_buckets=options["buckets"],
        relative_attention_max_distance=options["max_distance"],
        tie_word_embeddings=options["tied"],
        dropout_rate=0.0,
        decoder_start_token_id=0,
    )


CONFIGS = {"nllb_moe": nllb_moe, "m2m_100": m2m_100, "switch_transformers": switch_transformers}


def config_of(options: dict) -> PretrainedConfig:
    """The transformers configuration of a spec (specs.py)."""
    return CONFIGS[options["architecture"]](options)


def exact(weight: torch.Tensor, store: str) -> torch.Tensor:
    """The nearest values that f16 holds exactly (and bf16 too for a bf16 folder), as f32 of the same shape."""
    if store == "bases":
        # Sums and differences of multiples of one number are exact, too.
        return (weight / BASE_STEP).round().clamp(-2047, 2047) * BASE_STEP
    if store != "bf16":
        return weight.half().float()
    rounded = weight.bfloat16().float()
    # Tiny bf16 values fall between f16 subnormals; zero is exact in both.
    return torch.where(rounded.half().float() == rounded, rounded, torch.zeros_like(rounded))


@torch.no_grad()
def random_model(options: dict, seed: int) -> PreTrainedModel:
    """A model of random weights, evaluation mode, f32, where no bias and no norm is trivial.

    transformers starts biases at 0 and norms at 1; a reader that forgot them would pass, so they are drawn too.
    The final norm leans a little towards the end token's row (where it has a bias): sentences then end, now and then.
    """
    torch.manual_seed(seed)
    model = AutoModelForSeq2SeqLM.from_config(config_of(options)).eval()
    for name, weight in model.named_parameters():
        if not speaks_languages(model.config) and weight.dim() == 2:
            # T5 starts with widths of its own; distances must be seen.
            weight.copy_(torch.randn_like(weight) * width_of(name, options))
        elif "layer_norm" in name:
            noise = torch.randn_like(weight) * 0.2
            weight.copy_(noise + (1.0 if name.endswith("weight") else 0.0))
        elif name.endswith("bias"):
            weight.copy_(torch.randn_like(weight) * 0.3)
    end = model.get_output_embeddings().weight[model.config.eos_token_id]
    end.mul_(1.6)
    if speaks_languages(model.config):
        model.model.decoder.layer_norm.bias.add_(end / end.pow(2).sum() * 1.5)
    for weight in model.parameters():
        weight.copy_(exact(weight, options["store"]))
    ids = ["bos_token_id", "pad_token_id", "eos_token_id", "decoder_start_token_id"]
    model.generation_config = GenerationConfig(max_length=64, **{i: getattr(model.config, i) for i in ids})
    return model


def width_of(name: str, options: dict) -> float:
    """The standard deviation of a T5 matrix. Distances count as much as contents do; embeddings drown no block."""
    if "relative_attention_bias" in name:
        return 1.0
    return 0.5 if "shared" in name or "lm_head" in name else options["std"]


def save(model: PreTrainedModel, folder: pathlib.Path, store: str) -> None:
    """Writes config.json, generation_config.json, the weights as `store` says, and a one-character tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    dtype = {"f16": torch.float16, "bf16": torch.bfloat16}.get(store, torch.float32)
    model.to(dtype).save_pretrained(folder, max_shard_size="120KB" if store == "sharded" else "1GB")
    model.float()
    weights = folder / "model.safetensors"
    if store == "hub":
        tensors = {name.removeprefix("model."): value for name, value in load_file(weights).items()}
        save_file(tensors, weights, metadata={"format": "pt"})
    if store == "lm_head":
        tensors = load_file(weights)
        tensors["lm_head.weight"] = tensors["model.shared.weight"].clone()
        save_file(tensors, weights, metadata={"format": "pt"})
    if store == "bases":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "expert_bases": BASES}, indent=2) + "\n")
        save_file(bases.split(load_file(weights), BASES, BASE_STEP), weights, metadata={"format": "pt"})
    if store == "embeddings":
        tensors = load_file(weights)
        tensors |= {f"{stack}.embed_tokens.weight": tensors["shared.weight"].clone() for stack in ["encoder", "decoder"]}
        save_file(tensors, weights, metadata={"format": "pt"})
    halve(weights)
    save_tokenizer(folder, model.config)


def halve(weights: pathlib.Path) -> None:
    """Writes f32 tensors as f16, which holds them exactly, so that the files are small. Shards stay as they are."""
    if not weights.exists():
        return
    tensors = load_file(weights)
    narrow = {name: t.half() if t.dtype == torch.float32 else t for name, t in tensors.items()}
    for name, t in tensors.items():
        assert torch.equal(narrow[name].to(t.dtype), t), f"{name} is not exact in f16"
    save_file(narrow, weights, metadata={"format": "pt"})


def save_tokenizer(folder: pathlib.Path, config: PretrainedConfig) -> None:
    """A tokenizer of single characters with the model's specials, so that the folder packs and translates whole."""
    room = len(word_ids(config))
    specials, languages, last = SPECIALS, LANGUAGES, "<mask>"
    if not speaks_languages(config):
        specials, languages, last = SPECIALS_OF_T5, [], "<extra_id_0>"
    pieces = list(dict.fromkeys(PIECES))
    pieces += [chr(0x3B1 + i) for i in range(room - len(pieces))]
    tokens = specials + pieces[:room] + languages + [last]
    special = specials + languages + [last]
    added = [
        dict(id=tokens.index(content), content=content, single_word=False, lstrip=content == "<mask>", rstrip=False,
             normalized=False, special=True)
        for content in special
    ]
    tokenizer = dict(
        version="1.0", truncation=None, padding=None, added_tokens=added, normalizer={"type": "NFKC"},
        pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        post_processor=None,
        decoder={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        model=dict(type="BPE", dropout=None, unk_token="<unk>", continuing_subword_prefix=None,
                   end_of_word_suffix=None, fuse_unk=True, byte_fallback=False, ignore_merges=False,
                   vocab={token: i for i, token in enumerate(tokens)}, merges=[]),
    )
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))
    settings = dict(tokenizer_class="PreTrainedTokenizerFast", bos_token="<s>", eos_token="</s>", pad_token="<pad>",
                    unk_token="<unk>", mask_token="<mask>", additional_special_tokens=languages, model_max_length=64)
    if not speaks_languages(config):
        del settings["bos_token"], settings["mask_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1))


def load(folder: pathlib.Path) -> PreTrainedModel:
    """The folder read back by transformers, evaluation mode, computed in f32; of bases it knows nothing."""
    config = json.loads((folder / "config.json").read_text())
    if not config.pop("expert_bases", 0):
        return AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).eval()
    with tempfile.TemporaryDirectory() as whole:
        shutil.copytree(folder, whole, dirs_exist_ok=True)
        (pathlib.Path(whole) / "config.json").write_text(json.dumps(config))
        tensors = bases.join(load_file(folder / "model.safetensors"), BASES)
        save_file(tensors, f"{whole}/model.safetensors", metadata={"format": "pt"})
        return load(pathlib.Path(whole))


def assert_same(made: torch.nn.Module, loaded: torch.nn.Module) -> None:
    """Every tensor must come back as it was made: transformers only warns of a name it does not find."""
    one, other = made.state_dict(), loaded.state_dict()
    assert one.keys() == other.keys()
    wrong = [name for name in one if not torch.equal(one[name], other[name])]
    assert not wrong, f"transformers did not read back {wrong}"
