"""Where training on four levels starts: python feedback.py FOLDER OUT.safetensors --data DATA [--weights W]

Nearest levels lose far more than two bits must. Here an expert's matrices get the codes that keep its outputs over some
training text: GPTQ (Frantar et al. 2023) and rounds of scales and coordinate descent after it, as in `moqe pack`, with fc2
making up for part of what rounding fc1 changed. OUT has float32 weights inside the intervals of these codes, for
`train.py --weights OUT --qat`: a weight lies at most INSIDE of the way from its level to where it was.
"""
import argparse
import re

import runtime
import torch

import qat
from batches import Batches
from checkpoint import read_model, write_weights
from model import Translator
from moe import FeedForward

DAMPING = 0.01
"""Of the mean of a matrix of moments' diagonal, added to it."""
INSIDE = 0.3
SAFE = 0.45
"""Of the scale: no weight lies further from its level, whose interval ends at half of it."""


def moments(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """x [n, K], y [n, J] -> their covariance [K, J]."""
    return (x - x.mean(0)).t() @ (y - y.mean(0)) / len(x)


def damped(h: torch.Tensor) -> torch.Tensor:
    """h [K, K] with something on its diagonal, so that it has an inverse."""
    return h + torch.eye(len(h), dtype=h.dtype) * (DAMPING * h.diagonal().mean() + 1e-12)


def spread(scales: torch.Tensor, columns: int) -> torch.Tensor:
    """scales [N, groups, 1] -> one a weight [N, columns], none of them 0."""
    return scales.double().squeeze(2).repeat_interleave(qat.GROUP, 1)[:, :columns].clamp_min(1e-7)


def nearest(weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """The level of `scale` nearest to each weight, of any shape."""
    return ((weight / scale).floor().clamp(-2, 1) + 0.5) * scale


def gptq(weight: torch.Tensor, h: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """weight [N, K] -> levels [N, K]: column by column, what a column's rounding did is made up for by those after it."""
    order = h.diagonal().argsort(descending=True)
    upper = torch.linalg.cholesky(torch.linalg.inv(h[order][:, order])).t().contiguous()
    left, out = weight[:, order].clone(), torch.empty_like(weight)
    for j, column in enumerate(order.tolist()):
        out[:, column] = nearest(left[:, j], scale[:, column])
        left[:, j + 1:] -= ((left[:, j] - out[:, column]) / upper[j, j])[:, None] * upper[j, j + 1:]
    return out


def best_scales(weight: torch.Tensor, h: torch.Tensor, level: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """The scales [N, groups, 1] of least error for the codes that `level` has; one that would not be positive stays."""
    code = qat.grouped((level / spread(scales, level.shape[1])).float()).double()
    N, groups, _ = code.shape
    pad = groups * qat.GROUP - len(h)
    h, weight = torch.nn.functional.pad(h, (0, pad, 0, pad)), torch.nn.functional.pad(weight, (0, pad))
    right = (code * (weight @ h).view(N, groups, -1)).sum(2, keepdim=True)
    gram = torch.stack([((code[:, g] @ h[g * qat.GROUP:(g + 1) * qat.GROUP]).view(N, groups, -1) * code).sum(2)
                        for g in range(groups)], 1)
    found = torch.linalg.lstsq(gram, right).solution.half()
    return torch.where((found > 0) & found.isfinite(), found.float(), scales)


def descend(weight: torch.Tensor, h: torch.Tensor, level: torch.Tensor, scale: torch.Tensor) -> None:
    """Two sweeps in which every column's codes become the best ones while all others stay; changes `level`."""
    gradient = (weight - level) @ h
    for column in 2 * h.diagonal().argsort(descending=True).tolist():
        now = nearest(level[:, column] + gradient[:, column] / h[column, column], scale[:, column])
        gradient -= (now - level[:, column])[:, None] * h[column]
        level[:, column] = now


def rounded(weight: torch.Tensor, h: torch.Tensor, rounds: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """weight [N, K] -> (levels [N, K], scales [N, groups, 1]) of small error d h d' over the rows d of their difference."""
    scales = qat.best_scales(weight.float())
    level = gptq(weight, h, spread(scales, weight.shape[1]))
    for _ in range(rounds):
        code = level / spread(scales, weight.shape[1])
        scales = best_scales(weight, h, level, scales)
        scale = spread(scales, weight.shape[1])
        level = code * scale
        descend(weight, h, level, scale)
    return level, scales


def inside(weight: torch.Tensor, level: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Weights [N, K] in the intervals of the levels: toward where they were, and well off the edges."""
    reach = SAFE * scale
    low = torch.where(level < -scale, -torch.inf, level - reach)
    high = torch.where(level > scale, torch.inf, level + reach)
    return level + INSIDE * (weight.clamp(low, high) - level)


@torch.no_grad()
def settle(expert: FeedForward, x: torch.Tensor) -> None:
    """Moves an expert's weights into the intervals of codes that keep its outputs for inputs x [n, D]; biases, too."""
    one, two = (m.weight.double() for m in (expert.fc1, expert.fc2))
    hidden = (x @ one.t() + expert.fc1.bias.double()).relu()
    level, scales = rounded(one, damped(moments(x, x)))
    expert.fc1.bias.add_(((one - level) @ x.mean(0)).float())
    expert.fc1.weight.copy_(inside(one, level, spread(scales, one.shape[1])))
    changed = (x @ level.t() + expert.fc1.bias.double()).relu()
    h = damped(moments(changed, changed))
    wanted = two + torch.linalg.solve(h, moments(changed, hidden - changed) @ two.t()).t()
    level, scales = rounded(wanted, h)
    expert.fc2.bias.add_((two @ hidden.mean(0) - level @ changed.mean(0)).float())
    expert.fc2.weight.copy_(inside(wanted, level, spread(scales, two.shape[1])))


@torch.no_grad()
def inputs(model: Translator, data: str, pairs: list[str], batches: int, seed: int) -> dict:
    """{layer's name: (rows [n, D], choices [n, 2])} over batches of training text."""
    found = {}

    def keep(name: str):
        def hook(layer, arguments, _):
            x, live = arguments
            found.setdefault(name, []).append((x[live].half(), layer.chosen))
        return hook

    hooks = [layer.register_forward_hook(keep(name)) for name, layer in model.sparse_layers()]
    for _, batch in zip(range(batches), Batches(data, pairs, 6144, seed)):
        model.loss(*batch)
    for hook in hooks:
        hook.remove()
    return {name: tuple(map(torch.cat, zip(*parts))) for name, parts in found.items()}


def rows_of(expert: int, x: torch.Tensor, chosen: torch.Tensor, most: int, width: int) -> torch.Tensor:
    """Up to `most` rows that an expert was given, and `width` of all: where it saw few, it is taken for its layer's mean."""
    own = (chosen == expert).any(1).nonzero().squeeze(1)
    own = own[torch.randperm(len(own))[:most]]
    return x[torch.cat([own, torch.randint(0, len(x), (width,))])].double()


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("folder", help="Hugging Face folder of the unquantized model")
    ap.add_argument("out")
    ap.add_argument("--data", required=True, help="folder of tokens.py")
    ap.add_argument("--weights", help="safetensors in place of the folder's")
    ap.add_argument("--pairs", default="de,fr,es")
    ap.add_argument("--only", default="", help="experts whose names have this regular expression in them; the rest stay")
    ap.add_argument("--rows", type=int, default=4096, help="inputs of each expert")
    ap.add_argument("--batches", type=int, default=10)
    ap.add_argument("--seed", type=int, default=0)
    a = ap.parse_args()
    torch.manual_seed(a.seed)
    model = read_model(a.folder, a.weights)
    seen = inputs(model, a.data, a.pairs.split(","), a.batches, a.seed)
    for name, layer in model.sparse_layers():
        x, chosen = seen[name]
        picked = [(e, v) for e, (k, v) in enumerate(layer.experts.items()) if re.search(a.only, f"{name}.experts.{k}.")]
        for e, expert in picked:
            settle(expert, rows_of(e, x, chosen, a.rows, expert.fc1.out_features))
        print(f"{name}: {len(picked)} experts", flush=True)
    write_weights(model, a.out, {}, torch.float32)


if __name__ == "__main__":
    main()
