"""A dense model's feed-forward layers become experts: `python upcycle.py DENSE OUT --data DATA --experts 16`.

OUT is a folder for `train.py --init`. Every layer becomes sparse. A dense layer's inner units are split into two halves,
experts 2g and 2g + 1 of group g; all E / 2 groups begin alike, and the router scores both experts of a group the same, so
a token's two best experts are the two halves of one group and have weights 1/2 each. With fc2's weights doubled that is
the dense layer itself (sparse upcycling with virtual groups): training starts from the dense model's quality, with its
active parameters, and the groups part by what they are given.

That holds only while a token's two experts stay halves of one group. From random routers they did not: within 50 steps of
training the loss was 0.25 nats above the dense model's. The routers of clusters.py tell their groups apart from the start.

`--routers MIXTURE`, a folder of a model that began as such a split, takes its routers: OUT is then a model that `average.py` can
average with MIXTURE, which so gets what further training of its dense ancestor taught that.
"""
import argparse

import runtime  # noqa: F401
import torch

from dataclasses import replace

import clusters

from checkpoint import is_dense, read_model, write_folder
from model import Config, Translator
from moe import FeedForward, SparseMLP

def upcycled_config(c: Config, experts: int) -> Config:
    """Every layer sparse, experts of half the dense inner width: two of them are as many active parameters."""
    if not is_dense(c):
        raise SystemExit("upcycling starts from a dense model (train.py --dense), and this one has experts")
    if experts < 4 or experts % 2:
        raise SystemExit(f"--experts {experts}: an even number of at least 4 is needed, two for each group")
    if c.encoder_ffn_dim % 2 or c.decoder_ffn_dim % 2:
        raise SystemExit(f"inner widths of {c.encoder_ffn_dim} and {c.decoder_ffn_dim} cannot be halved")
    return replace(c, encoder_ffn_dim=c.encoder_ffn_dim // 2, decoder_ffn_dim=c.decoder_ffn_dim // 2,
                   num_experts=experts, encoder_sparse_step=1, decoder_sparse_step=1)


@torch.no_grad()
def spread(dense: FeedForward, sparse: SparseMLP, router: torch.Tensor) -> None:
    """Fills `sparse` from one dense layer and the router [E / 2, D] of its groups, or [E, D] of its experts."""
    half = dense.fc1.out_features // 2
    for i, expert in enumerate(sparse.experts.values()):
        units = slice(0, half) if i % 2 == 0 else slice(half, None)
        expert.fc1.weight.copy_(dense.fc1.weight[units])
        expert.fc1.bias.copy_(dense.fc1.bias[units])
        expert.fc2.weight.copy_(2 * dense.fc2.weight[:, units])
        expert.fc2.bias.copy_(dense.fc2.bias)  # half of it from each of two experts
    of_experts = router if len(router) == len(sparse.experts) else router.repeat_interleave(2, 0)
    sparse.router.classifier.weight.copy_(of_experts)


def upcycle(dense: Translator, experts: int, routers: dict) -> Translator:
    """A sparse model that computes what `dense` computes; `routers` as those of clusters.py."""
    model = Translator(upcycled_config(dense.config, experts))
    kept = {k: v for k, v in dense.state_dict().items() if ".ffn." not in k}
    missing, unexpected = model.load_state_dict(kept, strict=False)
    assert not unexpected and all(".ffn." in name for name in missing)
    for side in ("encoder", "decoder"):
        for i, (old, new) in enumerate(zip(getattr(dense, side).layers, getattr(model, side).layers)):
            spread(old.ffn, new.ffn, routers[f"{side} {i}"])
    return model


def routers_of(mixture: Translator, dense: Translator) -> dict:
    """The routers [E, D] of a model that `dense` can be split like, by layer."""
    c = mixture.config
    if c != upcycled_config(dense.config, c.num_experts):
        raise SystemExit("--routers: a model is needed that began as this dense one's split, with its widths")
    return {f"{side} {i}": layer.ffn.router.classifier.weight.detach().float()
            for side in ("encoder", "decoder") for i, layer in enumerate(getattr(mixture, side).layers)}


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("dense", help="Hugging Face folder of a dense model (m2m_100)")
    ap.add_argument("out")
    routing = ap.add_mutually_exclusive_group(required=True)
    routing.add_argument("--data", help="folder of tokens.py: text whose clusters the groups divide")
    routing.add_argument("--routers", help="a model whose routers are taken, and as many experts")
    ap.add_argument("--pairs", default="de,fr,es")
    ap.add_argument("--experts", type=int, default=16, help="in every layer")
    ap.add_argument("--seed", type=int, default=0, help="of the routers")
    a = ap.parse_args()
    torch.manual_seed(a.seed)
    dense = read_model(a.dense)
    if a.routers is None:
        upcycled_config(dense.config, a.experts)  # refuses before the work
        routers = clusters.routers(dense, a.data, a.pairs.split(","), a.experts // 2, seed=a.seed)
    else:
        mixture = read_model(a.routers)
        a.experts, routers = mixture.config.num_experts, routers_of(mixture, dense)
    model = upcycle(dense, a.experts, routers)
    write_folder(model, a.out, a.dense, {"upcycled": a.dense})
    count = sum(p.numel() for p in model.parameters())
    print(f"{a.out}: {count:,} parameters, {a.experts} experts in each of {len(model.sparse_layers())} layers")


if __name__ == "__main__":
    main()
