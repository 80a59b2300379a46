"""A half of what graft.py joined, as a model of its own: python half.py GRAFTED OUT [--weights W.safetensors] [--first]

The trunk, and the second half's experts (or the first's) with their rows of the routers. What told the halves apart adds the
same to all scores of a half, so a token that kept to it is computed as before.
"""
import argparse
from dataclasses import replace

import runtime  # noqa: F401
import torch

from checkpoint import read_model, write_folder
from model import Translator


@torch.no_grad()
def half(grafted: Translator, first: bool) -> Translator:
    """A model of half as many experts, with weights that are the grafted one's."""
    count = grafted.config.num_experts // 2
    start = 0 if first else count
    model, found = Translator(replace(grafted.config, num_experts=count)), grafted.state_dict()

    def source(name: str) -> torch.Tensor:
        if ".router." in name:
            return found[name][start:start + count]
        layer, mark, rest = name.partition(".experts.expert_")
        if not mark:
            return found[name]
        number, _, part = rest.partition(".")
        return found[f"{layer}{mark}{start + int(number)}.{part}"]

    model.load_state_dict({name: source(name) for name in model.state_dict()})
    return model


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("grafted", help="Hugging Face folder")
    ap.add_argument("out")
    ap.add_argument("--weights", help="safetensors to read instead of those of the folder")
    ap.add_argument("--first", action="store_true", help="the half that was there before, not the one that came to it")
    a = ap.parse_args()
    write_folder(half(read_model(a.grafted, a.weights), a.first), a.out, a.grafted, {}, torch.float32)


if __name__ == "__main__":
    main()
