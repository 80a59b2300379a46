"""Two models of one ancestor become one with the experts of both: python mix.py FIRST SECOND.safetensors OUT --data A --more-data B

FIRST (a Hugging Face folder) knows the texts of A best, SECOND (weights of the same configuration) those of B. Where all
weights are averaged (average.py), either loses; here the trunk alone is, and the experts lie side by side, as in
Branch-Train-MiX (Sukhbaatar et al. 2024). Each half of OUT's routers scores its experts as its own router did, plus or minus
a part of the odds that a token is of A's texts rather than of B's, told by logistic regression from what the layer sees.
Nothing is kept apart: a token near the middle takes experts of both. Training of the whole then goes on from OUT.
"""
import argparse

import runtime  # noqa: F401
import torch

import average
import graft
from checkpoint import read_model, write_folder
from model import Translator


def mixed(trunk: Translator, first: Translator, second: Translator, seen: list[dict], factor: float):
    """-> (the model, {layer: shares of either kind's choices that are its own half's}); seen: rows of every layer [n, D]
    of the first's texts and of the second's; factor: how many odds apart the halves are scored."""
    model, state = graft.side_by_side(trunk, first, second)
    shares = {}
    for name, _ in first.sparse_layers():
        kinds = [s[name] for s in seen]
        one, two = graft.routers(name, first, second)
        odds = factor / 2 * graft.parting(*kinds, stray=1.0)
        router = torch.cat([one + odds, two - odds])
        chosen = [(rows @ router.t()).topk(2, dim=1).indices // len(one) for rows in kinds]
        shares[name] = [c.eq(half).float().mean().item() for half, c in enumerate(chosen)]
        state[graft.router_name(name)] = router
    model.load_state_dict(state)
    return model, shares


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("first", help="Hugging Face folder")
    ap.add_argument("second", help="safetensors of the same configuration")
    ap.add_argument("out")
    ap.add_argument("--data", required=True, help="folder of tokens.py with the first's texts")
    ap.add_argument("--more-data", required=True, help="folder of tokens.py with the second's")
    ap.add_argument("--pairs", default="de,fr,es")
    ap.add_argument("--share", type=float, default=0.4, help="of the first in the trunk")
    ap.add_argument("--factor", type=float, default=1.5)
    ap.add_argument("--batches", type=int, default=6)
    ap.add_argument("--seed", type=int, default=0)
    a = ap.parse_args()
    torch.manual_seed(a.seed)
    first, second, trunk = read_model(a.first), read_model(a.first, a.second), read_model(a.first)
    trunk.load_state_dict(average.mean([first.state_dict(), second.state_dict()], [a.share, 1 - a.share]))
    seen = [graft.rows(trunk, data, a.pairs, a.batches, a.seed) for data in (a.data, a.more_data)]
    model, shares = mixed(trunk, first, second, seen, a.factor)
    for name, (one, two) in shares.items():
        print(f"{name}: {one:.1%} and {two:.1%} of the choices are of a text's own half", flush=True)
    write_folder(model, a.out, a.first, {}, torch.float32)


if __name__ == "__main__":
    main()
