"""Weights of a run -> a Hugging Face folder.

python export.py RUN OUT [--weights FILE]: RUN is train.py's output folder; FILE defaults to its last.safetensors.
"""
import argparse
import os

import torch
from safetensors import safe_open

import qat
from checkpoint import read_model, write_folder


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("run", help="a folder with config.json and tokenizer files")
    ap.add_argument("out")
    ap.add_argument("--weights")
    ap.add_argument("--float32", action="store_true", help="the trunk, too: keeps the codes of what was read back from 8 bits")
    ap.add_argument("--wide", help="as in train.py: what was not on the grid there")
    a = ap.parse_args()
    weights = a.weights or os.path.join(a.run, "last.safetensors")
    with safe_open(weights, "pt") as f:
        note = {k: v for k, v in (f.metadata() or {}).items() if k != "format"}
        on_grid = any(f.get_slice(k).get_dtype() == "F32" for k in f.keys())
    model = read_model(a.run, weights)
    if on_grid:  # scales and codes are found again exactly, and written as float32
        qat.attach(model, qat.as_written, a.wide)
    write_folder(model, a.out, a.run, note, torch.float32 if a.float32 else torch.bfloat16)
    print(a.out, sum(p.numel() for p in model.parameters()), "parameters", note)


if __name__ == "__main__":
    main()
