"""A mixture whose experts began alike -> the same one, its experts as what they add to what they have in common.

python bases.py MODEL OUT [--bases 2]: MODEL is a Hugging Face folder, OUT another for `moqe pack`. Expert e of B bases is
added to base e % B: the mean of the experts e, e + B, e + 2 B, ... The bases' matrices are trunk tensors, `expert_bases` in
config.json says how many there are, biases stay the experts'. Experts of upcycle.py need two, for their kinds alternate.
transformers does not know such a model; `unpack.py` of tests/goldens adds both halves together again.
"""
import argparse
import json
import pathlib
import re
import shutil

import torch
from safetensors.torch import load_file, save_file

EXPERT = re.compile(r"(.*\.ffn)\.experts\.expert_(\d+)\.(fc[12])\.weight")


def split(tensors: dict[str, torch.Tensor], count: int) -> tuple[dict[str, torch.Tensor], list[float]]:
    """Bases and differences in f32, and how long a difference is beside its expert's matrix, for each of these."""
    found = {name: tensor.float() for name, tensor in tensors.items()}
    kinds: dict[str, list[str]] = {}
    for name in tensors:
        if match := EXPERT.fullmatch(name):
            ffn, expert, matrix = match.groups()
            kinds.setdefault(f"{ffn}.bases.base_{int(expert) % count}.{matrix}.weight", []).append(name)
    shares = []
    for base, names in kinds.items():
        found[base] = torch.stack([found[name] for name in names]).mean(0)
        for name in names:
            whole = found[name]
            found[name] = whole - found[base]
            shares.append(float(found[name].norm() / whole.norm()))
    return found, shares


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("model", type=pathlib.Path)
    ap.add_argument("out", type=pathlib.Path)
    ap.add_argument("--bases", type=int, default=2)
    a = ap.parse_args()
    config = json.loads((a.model / "config.json").read_text())
    experts = config.get("num_experts", 0)
    if config.get("expert_bases"):
        raise SystemExit(f"{a.model} has bases already")
    if a.bases < 1 or experts < 1 or experts % a.bases:
        raise SystemExit(f"--bases: {a.bases} does not divide the model's {experts} experts a layer")
    found, shares = split(load_file(a.model / "model.safetensors"), a.bases)
    shutil.copytree(a.model, a.out, ignore=shutil.ignore_patterns("*.safetensors"), dirs_exist_ok=True)
    (a.out / "config.json").write_text(json.dumps({**config, "expert_bases": a.bases}, indent=1) + "\n")
    save_file(found, a.out / "model.safetensors", metadata={"format": "pt"})
    print(f"{a.out}: {len(shares)} matrices as differences, {min(shares):.2f} to {max(shares):.2f} of the whole's length")


if __name__ == "__main__":
    main()
