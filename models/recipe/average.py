"""The mean of the weights of models with one start: python average.py OUT.safetensors FOLDER FOLDER ... [--shares A,B,...]

A folder is a run (its state.pt: float32, of training on four levels what the levels are made from; of one with codes that
stay its last.safetensors) or a Hugging Face folder, such as what the runs began from; behind the first also a safetensors
file with the same configuration. OUT is bf16, or with --qat, for runs of `train.py --qat` or `--qat-scales`, float32: more
would be lost. It goes to `train.py --weights` or `export.py --weights`.

Runs on other batches share what the language taught them and differ by what their samples did; the mean keeps the former
(model soups, Wortsman et al. 2022). It is also how processes that exchange nothing do the work of one run.
"""
import argparse
import os
import re

import runtime  # noqa: F401
import torch
from safetensors.torch import save_file

from checkpoint import file_name, read_config, read_model


def mean(models: list[dict], shares: list[float], keep: str | None = None) -> dict:
    """State dictionaries of equal names and shapes -> their weighted mean, float32; shares sum to 1. What has the regular
    expression `keep` in its name stays the first's."""
    if any(m.keys() != models[0].keys() for m in models):
        raise SystemExit("these are not one model: their tensors have other names")
    stays = lambda name: keep is not None and re.search(keep, name)
    return {k: first.float() if stays(k) else sum(s * m[k].float() for s, m in zip(shares, models))
            for k, first in models[0].items()}


def apart(models: list[dict], middle: dict) -> float:
    """How far the first lies from the mean, relative to its length: much over 0.3, and they have parted."""
    gap = sum((models[0][k] - v).square().sum() for k, v in middle.items())
    return (gap / sum(v.square().sum() for v in middle.values())).sqrt().item()


def read(folder: str, first: str) -> tuple[dict, int, int]:
    """(state dictionary, steps, target tokens) of a run; what is no run has none of the latter two."""
    if folder.endswith(".safetensors"):
        return read_model(first, folder).state_dict(), 0, 0
    path = os.path.join(folder, "state.pt")
    if not os.path.exists(path):
        return read_model(folder).state_dict(), 0, 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    model = state["model"]
    if any(k.endswith(".gain") for k in model):
        model = read_model(folder, os.path.join(folder, "last.safetensors")).state_dict()
    return model, state["step"], state["tokens"]


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out")
    ap.add_argument("folders", nargs="+")
    ap.add_argument("--shares", help="how much of each, with commas; as much of all where not given")
    ap.add_argument("--keep", help="what has this regular expression in its name stays the first's")
    ap.add_argument("--qat", action="store_true", help="the runs are of train.py --qat or --qat-scales: float32")
    a = ap.parse_args()
    given = [float(s) for s in a.shares.split(",")] if a.shares else [1.0] * len(a.folders)
    if len(given) != len(a.folders) or sum(given) <= 0:
        raise SystemExit(f"--shares {a.shares}: one number for each of {len(a.folders)} folders, not all 0")
    models, steps, tokens = zip(*(read(f, a.folders[0]) for f in a.folders))
    middle, config = mean(models, [s / sum(given) for s in given], a.keep), read_config(a.folders[0])
    kind = torch.float32 if a.qat else torch.bfloat16
    tensors = {file_name(k, config): v.to(kind).contiguous() for k, v in middle.items()}
    note = {"format": "pt", "step": str(max(steps)), "tokens": str(sum(tokens))}
    runtime.atomically(a.out, lambda p: save_file(tensors, p, metadata=note))
    print(f"{a.out}: {sum(tokens):,} target tokens together; the first is {apart(models, middle):.3f} from the mean")


if __name__ == "__main__":
    main()
