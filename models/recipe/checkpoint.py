"""A model as a Hugging Face folder: config.json, generation_config.json, model.safetensors in bf16 (experts on the grid of qat.py: f32), tokenizer files."""
import json
import os
import shutil
from dataclasses import fields, replace

import torch
from safetensors.torch import load_file, save_file

from model import Config, Translator
from qat import exact_weights, plain
from runtime import atomically

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
M2M100_NAMES = (("cross_attention", "encoder_attn"), ("ff_layer_norm", "final_layer_norm"), (".ffn.fc", ".fc"))
"""Where the dense layout (m2m_100) names the same tensors otherwise: (ours, its)."""


def read_config(folder: str) -> Config:
    """The fields of config.json that Config knows; a dense (m2m_100) one has no sparse layers."""
    with open(os.path.join(folder, "config.json"), encoding="utf8") as f:
        found = json.load(f)
    known = {f.name for f in fields(Config)} - set(Config.TRAINING)
    config = Config(**{k: v for k, v in found.items() if k in known})
    if found["model_type"] == "m2m_100":
        config.encoder_sparse_step = config.decoder_sparse_step = 0
    return config


def read_model(folder: str, weights: str | None = None, **training) -> Translator:
    """A float32 model from a folder (or from another file with its configuration); `training`: fields of Config."""
    model = Translator(replace(read_config(folder), **training))
    return read_weights(model, weights or os.path.join(folder, "model.safetensors"))


def read_weights(model: Translator, path: str) -> Translator:
    """Fills a model from a file of its configuration, and answers it."""
    model.load_state_dict({our_name(k, model.config): v.float() for k, v in load_file(path).items()})
    return model


def is_dense(c: Config) -> bool:
    """No sparse layer on either side."""
    return c.encoder_sparse_step == 0 and c.decoder_sparse_step == 0


def our_name(name: str, c: Config) -> str:
    """A file's tensor name -> the model's."""
    for ours, theirs in M2M100_NAMES if is_dense(c) else ():
        name = name.replace(theirs, ours)
    return name.removeprefix("model.")


def file_name(name: str, c: Config) -> str:
    """The model's tensor name -> the file's."""
    for ours, theirs in M2M100_NAMES if is_dense(c) else ():
        name = name.replace(ours, theirs)
    return "model." + name


def write_weights(model: Translator, path: str, note: dict, kind: torch.dtype = torch.bfloat16) -> None:
    """Safetensors of one kind, atomically; `note` (step, tokens seen) goes into the file's metadata.

    Matrices in quantization-aware training are written as the float32 numbers that their codes stand for.
    """
    exact = exact_weights(model)
    stored = lambda k, v: exact[k].cpu() if k in exact else v.detach().to("cpu", kind)
    tensors = {file_name(k, model.config): stored(k, v).contiguous() for k, v in plain(model, exact).items()}
    metadata = {"format": "pt", **{k: str(v) for k, v in note.items()}}

    def write(temporary: str) -> None:
        save_file(tensors, temporary, metadata=metadata)
        os.chmod(temporary, 0o644)  # safetensors writes files that only their owner can read

    atomically(path, write)


def config_json(c: Config) -> dict:
    """config.json of NllbMoe, or of M2M100 (same layers, same names) for a dense model."""
    shape = {f.name: getattr(c, f.name) for f in fields(Config) if f.name not in Config.TRAINING}
    common = {"activation_function": "relu", "dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0,
              "encoder_layerdrop": 0.0, "decoder_layerdrop": 0.0, "scale_embedding": True,
              "tie_word_embeddings": True, "init_std": 0.02, "is_encoder_decoder": True, "use_cache": True,
              "bos_token_id": 0, "max_length": 200,
              "torch_dtype": "bfloat16"}
    if is_dense(c):
        shape = {k: v for k, v in shape.items() if "sparse" not in k and k != "num_experts"}
        return {"architectures": ["M2M100ForConditionalGeneration"], "model_type": "m2m_100", **shape, **common}
    routing = {"expert_capacity": 64, "moe_token_dropout": 0.0, "moe_eval_capacity_token_fraction": 1.0,
               "normalize_router_prob_before_dropping": False, "batch_prioritized_routing": False,
               "second_expert_policy": "all", "router_bias": False, "router_dtype": "float32",
               "router_ignore_padding_tokens": False, "router_z_loss_coef": c.z_coef,
               "router_aux_loss_coef": c.balance_coef}
    named = {"architectures": ["NllbMoeForConditionalGeneration"], "model_type": "nllb-moe"}
    return {**named, **shape, **common, **routing}


def write_folder(model: Translator, folder: str, tokenizer_folder: str, note: dict,
                 kind: torch.dtype = torch.bfloat16) -> None:
    """The whole folder; tokenizer files are copied from `tokenizer_folder`."""
    os.makedirs(folder, exist_ok=True)
    c = model.config
    write_weights(model, os.path.join(folder, "model.safetensors"), note, kind)
    generation = {"bos_token_id": 0, "pad_token_id": c.pad_token_id, "eos_token_id": c.eos_token_id,
                  "decoder_start_token_id": c.decoder_start_token_id, "max_length": 200, "num_beams": 4}
    for name, content in (("config.json", config_json(c)), ("generation_config.json", generation)):
        with open(os.path.join(folder, name), "w", encoding="utf8") as f:
            json.dump(content, f, indent=2)
            f.write("\n")
    for name in TOKENIZER_FILES:
        shutil.copyfile(os.path.join(tokenizer_folder, name), os.path.join(folder, name))
