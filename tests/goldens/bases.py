"""Experts that are added to bases (`expert_bases` in config.json), which transformers knows nothing of: both ways.

Expert e of B bases is added to base e % B. Tensors are torch's or numpy's; names are those of the file, `model.` or not.
"""

import re

EXPERT = re.compile(r"(.*\.ffn)\.experts\.expert_(\d+)\.(fc[12]\.weight)")


def base_names(names, count: int) -> dict[str, str]:
    """By an expert's matrix: its base's name."""
    found = {}
    for name in names:
        if match := EXPERT.fullmatch(name):
            ffn, expert, tensor = match.groups()
            found[name] = f"{ffn}.bases.base_{int(expert) % count}.{tensor}"
    return found


def join(tensors: dict, count: int) -> dict:
    """Whole experts and no bases."""
    of = base_names(tensors, count) if count else {}
    whole = {name: value + tensors[of[name]] if name in of else value for name, value in tensors.items()}
    return {name: value for name, value in whole.items() if ".ffn.bases." not in name}


def split(tensors: dict, count: int, step: float) -> dict:
    """Bases, the means of their experts to the next multiple of `step`, and what experts have beyond them."""
    of, found = base_names(tensors, count), dict(tensors)
    for base in set(of.values()):
        own = [name for name in of if of[name] == base]
        mean = sum(tensors[name] for name in own) / len(own)
        found[base] = (mean / step).round() * step
        for name in own:
            found[name] = tensors[name] - found[base]
    return found
