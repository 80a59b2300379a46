"""A random NLLB-MoE checkpoint of about a gigabyte, in Hugging Face layout, for measuring memory.

usage: make_checkpoint.py TOKENIZER_FOLDER OUT [experts a layer, default 40]
The tokenizer and its vocabulary are those of an existing checkpoint; weights are random bf16, sharded by layer,
so that neither this script nor a reader needs to hold more than one.
"""

import json
import pathlib
import shutil
import sys

import torch
from safetensors.torch import save_file
from transformers import NllbMoeConfig

D_MODEL, D_FF, LAYERS, STEP = 512, 2048, 6, 2


def layer(stack: str, index: int, experts: int, make) -> dict[str, torch.Tensor]:
    """Tensors of one layer; sparse when (index + 1) is a multiple of STEP."""
    base, out = f"model.{stack}.layers.{index}", {}

    def linear(name: str, rows: int, cols: int) -> None:
        out[f"{base}.{name}.weight"], out[f"{base}.{name}.bias"] = make(rows, cols), make(rows)

    def norm(name: str) -> None:
        out[f"{base}.{name}.weight"] = torch.ones(D_MODEL, dtype=torch.bfloat16)
        out[f"{base}.{name}.bias"] = torch.zeros(D_MODEL, dtype=torch.bfloat16)

    for attention in ["self_attn"] if stack == "encoder" else ["self_attn", "cross_attention"]:
        for projection in ["q_proj", "k_proj", "v_proj", "out_proj"]:
            linear(f"{attention}.{projection}", D_MODEL, D_MODEL)
        norm(f"{attention}_layer_norm")
    norm("ff_layer_norm")
    if (index + 1) % STEP:
        linear("ffn.fc1", D_FF, D_MODEL)
        linear("ffn.fc2", D_MODEL, D_FF)
        return out
    out[f"{base}.ffn.router.classifier.weight"] = make(experts, D_MODEL)
    for e in range(experts):
        linear(f"ffn.experts.expert_{e}.fc1", D_FF, D_MODEL)
        linear(f"ffn.experts.expert_{e}.fc2", D_MODEL, D_FF)
    return out


def main() -> None:
    tokenizer, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    experts = int(sys.argv[3]) if len(sys.argv) > 3 else 40
    out.mkdir(parents=True, exist_ok=True)
    vocab = json.loads((tokenizer / "config.json").read_text())["vocab_size"]
    generator = torch.Generator().manual_seed(0)

    def make(*shape: int) -> torch.Tensor:
        return (torch.randn(shape, generator=generator) * shape[-1] ** -0.5).to(torch.bfloat16)

    config = NllbMoeConfig(
        vocab_size=vocab, d_model=D_MODEL, encoder_layers=LAYERS, decoder_layers=LAYERS,
        encoder_ffn_dim=D_FF, decoder_ffn_dim=D_FF, encoder_attention_heads=8, decoder_attention_heads=8,
        num_experts=experts, encoder_sparse_step=STEP, decoder_sparse_step=STEP, moe_token_dropout=0.0,
        max_position_embeddings=512, activation_function="relu", torch_dtype="bfloat16",
    )  # fmt: skip
    config.architectures = ["NllbMoeForConditionalGeneration"]
    config.save_pretrained(out)
    shards = [{"model.shared.weight": make(vocab, D_MODEL)}]
    for stack in ["encoder", "decoder"]:
        for name, value in [("weight", torch.ones(D_MODEL)), ("bias", torch.zeros(D_MODEL))]:
            shards[0][f"model.{stack}.layer_norm.{name}"] = value.to(torch.bfloat16)
    layers = [(stack, i) for stack in ["encoder", "decoder"] for i in range(LAYERS)]
    weight_map, total, count = {}, 0, 1 + len(layers)
    for n in range(count):
        tensors = shards[0] if n == 0 else layer(*layers[n - 1], experts, make)
        file = f"model-{n + 1:05}-of-{count:05}.safetensors"
        save_file(tensors, out / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(tensors, file)
        total += sum(t.numel() * 2 for t in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (out / "model.safetensors.index.json").write_text(json.dumps(index))
    for file in ["tokenizer.json", "tokenizer_config.json", "generation_config.json"]:
        shutil.copyfile(tokenizer / file, out / file)
    print(f"{total / 1e9:.2f} GB in {out}")


main()
