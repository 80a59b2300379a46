"""Two models with one trunk become one: python graft.py FIRST SECOND.safetensors OUT --data DATA --pairs P --more-pairs Q

SECOND was trained from FIRST with its trunk as it was (`train.py --only 'experts|router'`), for other pairs. OUT has the
experts of both in every sparse layer, and a router that sends the tokens of P to FIRST's experts, those of Q to SECOND's
where it can: each half scores its experts as its own router did, and a direction of what the layer sees, in which the two
kinds of tokens part, is added to the scores of one half and taken from those of the other. A token's two experts are of one
half, and their weights those that they had in its model.

Where a layer cannot tell them apart (punctuation, names), P comes first: all but a few of its tokens (--stray) stay with
FIRST's experts, so OUT translates P as FIRST does. SECOND's half then learns to do with what is left, and to keep its tokens
apart: train OUT with `--only` its experts and `--astray 0.1`, the routers as they are. Then the line can be drawn again,
further from P's tokens (--trained).
"""
import argparse
from dataclasses import replace

import runtime  # noqa: F401
import torch
import torch.nn.functional as F

import feedback
from checkpoint import read_model, read_weights, write_folder
from model import Config, Translator

STEPS = 16
"""Of making an error on the first model's side count half as much again, until they are so few."""
MOST = 64.0
"""Scores are not moved by more than this in the middle: a softmax in float32 has to keep the two best apart."""


def parting(first: torch.Tensor, second: torch.Tensor, stray: float) -> torch.Tensor:
    """Rows [n, D] of either kind -> a direction [D] along which all of `first` but `stray` is positive and as much as can be
    of `second` negative: logistic regression without a constant, which a norm's outputs do not need."""
    length = torch.cat([first, second]).norm(dim=1).mean()
    sides = [x / length for x in (first, second)]
    found = torch.zeros(first.shape[1], requires_grad=True)
    for step in range(STEPS):
        optimizer = torch.optim.LBFGS([found], max_iter=60, line_search_fn="strong_wolfe")

        def closure():
            optimizer.zero_grad()
            loss = 1.5**step * F.softplus(-sides[0] @ found).mean() + F.softplus(sides[1] @ found).mean()
            loss = loss + 1e-4 * found.square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        if (sides[0] @ found <= 0).float().mean() < stray:
            break
    return (found / length).detach()


def needed(own: torch.Tensor, other: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
    """Scores [n, E] of a token's own half and of the other, side [n] -> by how much that must be multiplied [n] for both
    of the token's experts to come from its own half; infinite where the side is the wrong one."""
    short = (other.amax(1) - own.topk(2, dim=1).values[:, 1]).clamp_min(1e-3)
    return torch.where(side > 0, short / (2 * side), torch.inf)


def joined(one: torch.Tensor, two: torch.Tensor, first: torch.Tensor, second: torch.Tensor, stray: float):
    """Routers [E, D] and rows [n, D] that each of them sees -> (router [2 E, D], share of either that stays with its own)."""
    direction = parting(first, second, stray)
    sides = first @ direction, -(second @ direction)
    sure = lambda factor: factor.quantile(1 - stray, interpolation="higher")
    known = sides[1] > 0
    if not known.any():
        raise SystemExit("a layer cannot tell the two kinds of pairs apart: allow more to stray")
    theirs = needed(second @ two.t(), second @ one.t(), sides[1])
    factor = max(sure(needed(first @ one.t(), first @ two.t(), sides[0])), sure(theirs[known]))
    factor = (1.1 * factor).clamp(max=MOST / sides[0].median())
    router = torch.cat([one + factor * direction, two - factor * direction])
    half = lambda rows: (rows @ router.t()).topk(2, dim=1).indices // len(one)
    return router, (half(first).eq(0).all(1).float().mean().item(), half(second).eq(1).all(1).float().mean().item())


def doubled(model: Translator) -> Config:
    """Its configuration with twice as many experts."""
    return replace(model.config, num_experts=2 * model.config.num_experts)


def side_by_side(trunk: Translator, first: Translator, second: Translator) -> tuple[Translator, dict]:
    """-> (a model of twice as many experts, its weights: `trunk`'s and the experts of both; its routers are to be set)."""
    model = Translator(doubled(first))
    state = model.state_dict()
    state.update({k: v for k, v in trunk.state_dict().items() if ".router." not in k and ".experts." not in k})
    for half, source in enumerate((first, second)):
        for name, layer in source.sparse_layers():
            count = len(layer.experts)
            for e in range(count):
                for part, value in layer.experts[f"expert_{e}"].state_dict().items():
                    state[f"{name}.experts.expert_{half * count + e}.{part}"] = value
    return model, state


def router_name(layer: str) -> str:
    """Of a sparse layer's name: the name of its router's weights [E, D]."""
    return f"{layer}.router.classifier.weight"


def routers(layer: str, *models: Translator) -> list[torch.Tensor]:
    """The routers of one layer in several models."""
    return [m.get_submodule(layer).router.classifier.weight.detach() for m in models]


def graft(first: Translator, second: Translator, seen: list[dict], stray: float) -> tuple[Translator, dict]:
    """-> (a model with the experts of both, {layer: shares of `joined`}); seen: rows of every layer, of either kind."""
    model, state = side_by_side(first, first, second)
    shares = {}
    for name, _ in first.sparse_layers():
        found, shares[name] = joined(*routers(name, first, second), *(s[name] for s in seen), stray)
        state[router_name(name)] = found
    model.load_state_dict(state)
    return model, shares


@torch.no_grad()
def rows(model: Translator, data: str, pairs: str, batches: int, seed: int) -> dict:
    """What every sparse layer of a model sees of some training text: {layer: [n, D]}."""
    found = feedback.inputs(model, data, pairs.split(","), batches, seed)
    return {name: part.float() for name, (part, _) in found.items()}


def parted(first: Translator, second: Translator) -> list[str]:
    """Names of what the two should share and do not; bf16 files round it."""
    other = second.state_dict()
    return [k for k, v in first.state_dict().items()
            if ".experts." not in k and ".router." not in k and not torch.allclose(v, other[k], rtol=2**-7, atol=1e-6)]


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("first", help="Hugging Face folder")
    ap.add_argument("second", help="safetensors of the same configuration")
    ap.add_argument("out")
    ap.add_argument("--data", required=True, help="folder of tokens.py")
    ap.add_argument("--pairs", default="de,fr,es", help="those of the first model")
    ap.add_argument("--more-pairs", default="de-en,fr-en,es-en", help="those of the second")
    ap.add_argument("--trained", help="safetensors: an earlier OUT whose second half was trained since; it goes on from there")
    ap.add_argument("--stray", type=float, default=0.003, help="share of the first pairs' tokens that may leave a layer's half")
    ap.add_argument("--batches", type=int, default=6)
    ap.add_argument("--seed", type=int, default=0)
    a = ap.parse_args()
    torch.manual_seed(a.seed)
    first, second = read_model(a.first), read_model(a.first, a.second)
    if other := parted(first, second):
        raise SystemExit(f"{a.second}: has another trunk, {len(other)} tensors differ ({other[0]}, ...)")
    trained = read_weights(Translator(doubled(first)), a.trained) if a.trained else None
    seen = [rows(m, a.data, pairs, a.batches, a.seed) for m, pairs in ((first, a.pairs), (trained or second, a.more_pairs))]
    model, shares = graft(first, second, seen, a.stray)
    if trained:
        kept = {k: v for k, v in trained.state_dict().items() if ".router." not in k}
        model.load_state_dict({**model.state_dict(), **kept})
    for name, (one, two) in shares.items():
        print(f"{name}: {one:.4%} and {two:.4%} of the tokens stay with their own experts", flush=True)
    write_folder(model, a.out, a.first, {}, torch.float32)


if __name__ == "__main__":
    main()
