"""Decoder-only mixtures of experts of random weights, and their folders in Hugging Face layout."""

import json
import math
import pathlib

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

import tiny

ROUTERS = ("mlp.gate.weight", "block_sparse_moe.gate.weight", "router.layer.weight", "router.weight")
PACKED = ("gate_up_proj", "down_proj")
# What the published gpt-oss folders say of their quantization.
MXFP4 = {
    "quant_method": "mxfp4",
    "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"],
}


def config_of(options: dict) -> PretrainedConfig:
    """The transformers configuration of a spec (decoder_specs.py)."""
    ids = dict(bos_token_id=None, eos_token_id=None, pad_token_id=None)
    return AutoConfig.for_model(options["family"], **{**ids, **options["config"]})


def drawn(name: str, weight: torch.Tensor, options: dict) -> torch.Tensor:
    """Random values of `weight`'s shape: no norm, bias or sink is trivial, and every block counts as much as its input."""
    noise = torch.randn_like(weight)
    if name.endswith("norm.weight"):
        return noise * 0.2 + (1.4 if name.endswith(("q_norm.weight", "k_norm.weight")) else 1.0)
    if name.endswith("sinks"):
        return noise + 0.5
    if name.endswith("bias"):
        return noise * 0.3
    if "embed_tokens" in name:
        return noise * options["embedding"]
    if name.endswith(ROUTERS):
        return noise * options["router"] / math.sqrt(weight.shape[1])
    inputs = weight.shape[1] if name.endswith(PACKED) else weight.shape[-1]
    if "lm_head" in name:
        return noise * options["head"] / math.sqrt(inputs)
    return noise * options[kind_of(name)] / math.sqrt(inputs)


def kind_of(name: str) -> str:
    """The option that sets a matrix's width: attention, an expert's first matrices or its second."""
    if "self_attn" in name:
        return "attention"
    second = ("down_proj", "down_proj.weight", "w2.weight", "output_linear.weight")
    return "second" if name.endswith(second) else "first"


@torch.no_grad()
def random_model(options: dict, seed: int) -> PreTrainedModel:
    """A model in evaluation mode, f32, whose values are all exact in f16 (and in bf16 where they are stored so)."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config_of(options)).eval()
    store = "bf16" if options["store"] in ("bf16", "mxfp4") else "f32"
    for name, weight in model.named_parameters():
        weight.copy_(tiny.exact(drawn(name, weight, options), store))
    return model


def packed(shape: tuple[int, int, int]) -> dict[str, torch.Tensor]:
    """Random MXFP4 of a stacked matrix [experts, inputs, outputs]: blocks [E, out, in / 32, 16] and scales, both u8."""
    experts, inputs, outputs = shape
    blocks = torch.randint(0, 256, (experts, outputs, inputs // 32, 16), dtype=torch.uint8)
    # A code is about 3 wide; the exponents 2^-6 to 2^-3 bring rows to the width of the other matrices.
    scales = torch.randint(127 - 6, 127 - 2, (experts, outputs, inputs // 32), dtype=torch.uint8)
    return {"blocks": blocks, "scales": scales}


def left_out(config: PretrainedConfig) -> dict[str, torch.Tensor]:
    """Tensors of other parts of a published model, which a reader of the text part must leave out."""
    d, names = config.hidden_size, ["mtp.fc.weight", "mtp.layers.0.mlp.gate.weight", "visual.blocks.0.attn.qkv.weight"]
    extra = {name: torch.randn(4, d) for name in names}
    extra["mtp.norm.weight"] = torch.randn(d)
    extra["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.randn(config.head_dim // 2)
    return {name: tiny.exact(value, "f32") for name, value in extra.items()}


def save(model: PreTrainedModel, folder: pathlib.Path, options: dict) -> None:
    """Writes the folder as save_pretrained does, then what `store`, `write` and `drop` change in it."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    store, weights = options["store"], folder / "model.safetensors"
    model.to(torch.bfloat16 if store in ("bf16", "mxfp4") else torch.float32)
    model.save_pretrained(folder, max_shard_size="40KB" if store == "sharded" else "1GB")
    model.float()
    write, metadata = dict(options["write"]), {"format": "pt"}
    if store == "left_out":
        save_file({**load_file(weights), **left_out(model.config)}, weights, metadata=metadata)
    if store == "lm_head":
        tensors = load_file(weights)
        save_file({**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"].clone()}, weights, metadata=metadata)
    if store == "mxfp4":
        tensors = load_file(weights)
        for name in [n for n in tensors if n.endswith(PACKED)]:
            parts = packed(tensors.pop(name).shape)
            tensors |= {f"{name}_{part}": value for part, value in parts.items()}
        save_file(tensors, weights, metadata=metadata)
        write["quantization_config"] = MXFP4
    tiny.halve(weights)
    patch(folder / "config.json", write, options["drop"])


def patch(path: pathlib.Path, write: dict, drop: tuple[str, ...] = ()) -> None:
    """Changes a JSON file of the folder."""
    found = json.loads(path.read_text()) if path.exists() else {}
    kept = {key: value for key, value in {**found, **write}.items() if key not in drop}
    path.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")


def load(folder: pathlib.Path, **changes) -> PreTrainedModel:
    """The folder as transformers reads it, evaluation mode, f32, eager attention; `changes` override its config."""
    config = AutoConfig.from_pretrained(folder)
    for key, value in changes.items():
        setattr(config, key, value)
    if not hasattr(config, "quantization_config"):
        options = dict(dtype=torch.float32, attn_implementation="eager")
        return AutoModelForCausalLM.from_pretrained(folder, config=config, **options).eval()
    # transformers would round the dequantized experts to bf16: it is asked for f32, which is exact.
    del config.quantization_config
    tensors = load_file(folder / "model.safetensors")
    for name in [n.removesuffix("_blocks") for n in tensors if n.endswith("_blocks")]:
        parts = tensors.pop(f"{name}_blocks"), tensors.pop(f"{name}_scales")
        tensors[name] = convert_moe_packed_tensors(*parts, dtype=torch.float32)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval().float()
    model.load_state_dict(tensors)
    return model


def assert_same(made: PreTrainedModel, loaded: PreTrainedModel, options: dict) -> None:
    """Every tensor must come back as it was made; experts in MXFP4 must be exact in f16."""
    one, other = made.state_dict(), loaded.state_dict()
    assert one.keys() == other.keys()
    if options["store"] == "mxfp4":
        for name in [n for n in one if n.endswith(PACKED)]:
            assert torch.equal(other[name].half().float(), other[name])
            one[name] = other[name]
    wrong = [name for name in one if not torch.equal(one[name], other[name])]
    assert not wrong, f"transformers did not read back {wrong}"
