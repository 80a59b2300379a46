"""Shape of the weights by what they do: skew, kurtosis and outliers of every matrix, as a table and a plot.

python weights.py FOLDER OUT.png: FOLDER in Hugging Face layout. Few bits cost most where tails are heavy: a scale that
reaches the outliers is too coarse for the rest. Prints a Markdown table of medians over matrices.
"""
import argparse
import os
import re

import runtime  # noqa: F401
import matplotlib
import torch
from safetensors.torch import load_file

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

KINDS = (("expert fc1", r"experts\..*fc1\.weight$"), ("expert fc2", r"experts\..*fc2\.weight$"),
         ("dense fc1", r"layers\.\d+\.(ffn\.)?fc1\.weight$"), ("dense fc2", r"layers\.\d+\.(ffn\.)?fc2\.weight$"),
         ("attention q, k", r"\.[qk]_proj\.weight$"), ("attention v, out", r"\.(v|out)_proj\.weight$"))
"""Kinds of matrices by the end of their names, experts first."""


def shape_of(weight: torch.Tensor) -> dict[str, float]:
    """Moments of one matrix, all weights together, and how far its largest lies out."""
    w = weight.double().flatten()
    w = (w - w.mean()) / w.std()
    size = w.abs()
    return {"skew": (w ** 3).mean().item(), "excess kurtosis": (w ** 4).mean().item() - 3,
            "beyond 4 sigma, per million": 1e6 * (size > 4).double().mean().item(), "largest / sigma": size.max().item()}


def measure(folder: str) -> dict[str, dict[str, list[float]]]:
    """kind -> figure -> values, one a matrix."""
    found: dict[str, dict[str, list[float]]] = {}
    for name, weight in sorted(load_file(os.path.join(folder, "model.safetensors")).items()):
        kind = next((k for k, pattern in KINDS if re.search(pattern, name)), None)
        if kind is None:
            continue
        side = "encoder" if "encoder." in name else "decoder"
        for figure, value in shape_of(weight).items():
            found.setdefault(f"{side}, {kind}", {}).setdefault(figure, []).append(value)
    return found


def plot(found: dict, path: str) -> None:
    """One panel a figure, one box a kind."""
    figures = list(next(iter(found.values())))
    kinds = sorted(found, key=lambda k: (k.split(", ", 1)[1] not in ("expert fc1", "expert fc2"), k))
    canvas, axes = plt.subplots(1, len(figures), figsize=(4 * len(figures), 4.5), sharey=True)
    for axis, figure in zip(axes, figures):
        axis.boxplot([found[k][figure] for k in kinds], orientation="horizontal", tick_labels=kinds,
                     flierprops={"markersize": 3})
        axis.set_title(figure)
        axis.grid(alpha=0.3)
        if figure.startswith("beyond") or figure.startswith("excess"):
            axis.set_xscale("symlog")
    canvas.tight_layout()
    runtime.atomically(path, lambda p: canvas.savefig(p, dpi=90, format="png"))


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("folder")
    ap.add_argument("out")
    a = ap.parse_args()
    found = measure(a.folder)
    figures = list(next(iter(found.values())))
    print("| matrices | " + " | ".join(figures) + " |")
    print("| --- " * (len(figures) + 1) + "|")
    for kind, values in found.items():
        median = [torch.tensor(values[f]).median().item() for f in figures]
        print(f"| {kind} ({len(values[figures[0]])}) | " + " | ".join(f"{m:.2f}" for m in median) + " |")
    plot(found, a.out)


if __name__ == "__main__":
    main()
