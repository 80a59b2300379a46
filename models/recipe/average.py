"""The mean of the weights of several runs from one start: python average.py OUT.safetensors RUN RUN ...

Reads each run's state.pt (float32; of training on four levels what the levels are made from). OUT is bf16, or with --qat,
for runs of `train.py --qat`, float32: more would be lost. It goes to `train.py --weights` or `export.py --weights`. Two runs on other batches differ by little
but noise, and their mean has less of it than either: it is what one run of larger batches would have given, made by
processes that exchange nothing.
"""
import argparse
import os

import runtime  # noqa: F401
import torch
from safetensors.torch import save_file

from checkpoint import file_name, read_config


def mean(models: list[dict]) -> dict:
    """State dictionaries of equal names and shapes -> their mean, float32."""
    if any(m.keys() != models[0].keys() for m in models):
        raise SystemExit("these runs are not of one model: their tensors have other names")
    return {k: torch.stack([m[k].float() for m in models]).mean(0) for k in models[0]}


def apart(models: list[dict]) -> float:
    """How far the first lies from the mean of all, relative to its length: much over 0.3, and they have parted."""
    middle = mean(models)
    gap = sum((models[0][k] - v).square().sum() for k, v in middle.items())
    return (gap / sum(v.square().sum() for v in middle.values())).sqrt().item()


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out")
    ap.add_argument("runs", nargs="+")
    ap.add_argument("--qat", action="store_true", help="the runs are of train.py --qat")
    a = ap.parse_args()
    states = [torch.load(os.path.join(r, "state.pt"), map_location="cpu", weights_only=True) for r in a.runs]
    config = read_config(a.runs[0])
    models = [s["model"] for s in states]
    tokens = sum(s["tokens"] for s in states)
    kind = torch.float32 if a.qat else torch.bfloat16
    tensors = {file_name(k, config): v.to(kind).contiguous() for k, v in mean(models).items()}
    note = {"format": "pt", "step": str(states[0]["step"]), "tokens": str(tokens)}
    runtime.atomically(a.out, lambda p: save_file(tensors, p, metadata=note))
    print(f"{a.out}: {len(states)} runs, {tokens:,} target tokens together, {apart(models):.3f} from their mean")


if __name__ == "__main__":
    main()
