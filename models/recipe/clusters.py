"""Linear routers that split what the layers of a dense model see into even clusters (upcycle.py).

A router's row g scores group g. It is fitted as a classifier whose labels are its own best groups once these are made
even (Sinkhorn's balancing, as for the prototypes of SwAV, Caron et al. 2020): a fixed point is a split by half-spaces in
which every group has as many tokens and the best group leads the second by a clear margin, so that what training changes
does not send tokens to and fro. In the decoder a group belongs to one target language, and the split is made within it.
"""
import torch
import torch.nn.functional as F

from batches import Batches
from model import Translator

SOFTNESS = 0.5
"""Of the scores before they are balanced, in logits."""


@torch.no_grad()
def inputs(dense: Translator, data: str, pairs: list[str], batches: int, seed: int):
    """What each feed-forward layer of `dense` gets over some batches of training text, and whose language it is.

    -> ({"encoder 0": rows [n, D], ...}, target language's id [m] of every decoder row).
    """
    found, live, languages = {}, {}, []

    def keep(side: str, index: int):
        def hook(_, arguments):
            found.setdefault(f"{side} {index}", []).append(arguments[0].float()[live[side]])
        return hook

    hooks = [layer.ffn.register_forward_pre_hook(keep(side, i))
             for side in ("encoder", "decoder") for i, layer in enumerate(getattr(dense, side).layers)]
    for _, (source, target, labels) in zip(range(batches), Batches(data, pairs, 6144, seed)):
        pad = dense.config.pad_token_id
        live.update(encoder=source.ne(pad), decoder=target.ne(pad))
        languages.append(labels[:, :1].expand_as(labels)[target.ne(pad)])
        dense.decode(*dense.encode(source), target)
    for hook in hooks:
        hook.remove()
    return {name: torch.cat(rows) for name, rows in found.items()}, torch.cat(languages)


def balanced(scores: torch.Tensor, rounds: int = 30) -> torch.Tensor:
    """scores [n, G] -> shares [n, G]: rows sum to 1, columns to about n / G (Sinkhorn)."""
    share = (scores - scores.amax(1, keepdim=True)).double().exp()
    for _ in range(rounds):
        share = share / share.sum(0, keepdim=True)
        share = share / share.sum(1, keepdim=True)
    return share.float()


def best_even(scores: torch.Tensor, kind: torch.Tensor, owned: dict[int, list[int]]) -> torch.Tensor:
    """scores [n, G], kind [n] -> the group [n] of each row among its kind's own, each used about as often."""
    best = torch.zeros(len(scores), dtype=torch.long)
    for k, groups in owned.items():
        rows = kind.eq(k).nonzero().squeeze(1)
        if len(rows):
            share = balanced(scores[rows][:, groups] / SOFTNESS)
            best[rows] = torch.tensor(groups)[share.argmax(1)]
    return best


def fit(rows: torch.Tensor, kind: torch.Tensor, owned: dict[int, list[int]], steps: int = 400, size: int = 2048):
    """rows [n, D], kind [n], owned {kind: its groups} -> a router [G, D] (random: torch's generator)."""
    n, D = rows.shape
    length = rows.norm(dim=1).mean()
    router = torch.nn.Parameter(torch.randn(sum(map(len, owned.values())), D) * 4 * D**-0.5)
    optimizer = torch.optim.AdamW([router], weight_decay=0.0)
    for step in range(steps):
        at = torch.randint(0, n, (min(n, size),))
        scores = rows[at] / length @ router.t()
        loss = F.cross_entropy(scores, best_even(scores.detach(), kind[at], owned))
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / steps) + 1e-4
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (router / length).detach()


def shared_out(groups: int, languages: list[int]) -> dict[int, list[int]]:
    """Every language's own groups, as even as they go: 8 for three are 3, 2 and 3."""
    if groups < len(languages):
        raise SystemExit(f"{groups} groups of experts for {len(languages)} languages: each language needs one of its own")
    edge = [round(i * groups / len(languages)) for i in range(len(languages) + 1)]
    return {language: list(range(edge[i], edge[i + 1])) for i, language in enumerate(languages)}


def routers(dense: Translator, data: str, pairs: list[str], groups: int, batches: int = 24, seed: int = 0) -> dict:
    """{"encoder 0": router [groups, D], ...} for every feed-forward layer of `dense`."""
    rows, language = inputs(dense, data, pairs, batches, seed)
    by_language = shared_out(groups, language.unique().tolist())
    found = {}
    for name, x in rows.items():
        decoder = name.startswith("decoder")
        kind = language if decoder else torch.zeros(len(x), dtype=torch.long)
        found[name] = fit(x, kind, by_language if decoder else {0: list(range(groups))})
        share = torch.bincount((x @ found[name].t()).argmax(1), minlength=groups) / len(x)
        print(f"{name}: {torch.special.entr(share).sum().exp():.2f} of {groups} groups in use", flush=True)
    return found
