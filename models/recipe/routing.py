"""Routing by language and layer: python routing.py FOLDER DEV [--out FILE.json] [--rows N].

Teacher-forced over dev rows. For each sparse layer and language: every expert's share of the choices, the entropy of
the shares (in experts: e^H), and the overlap with each other language (sum of the smaller shares: 1 is the same).
"""
import argparse
import json
import os

import runtime
import torch

from decode import Greedy, pad
from tokens import rows


@torch.no_grad()
def shares(greedy: Greedy, pairs: list, language: str, batch: int = 50) -> dict:
    """{layer: shares [E]} over the tokens of `pairs`."""
    c, m = greedy.model.config, greedy.model
    count = {}
    for at in range(0, len(pairs), batch):
        part = pairs[at:at + batch]
        source = pad(greedy.ids([p[0] for p in part], "en"), c.pad_token_id)
        labels = greedy.ids([p[1] for p in part], language)
        target = pad([[c.decoder_start_token_id, *r[:-1]] for r in labels], c.pad_token_id)
        memory, mask = m.encode(source.to(greedy.device))
        m.decode(memory, mask, target.to(greedy.device))
        for name, layer in m.sparse_layers():
            hits = torch.bincount(layer.chosen.reshape(-1).cpu(), minlength=c.num_experts)
            count[name] = count.get(name, 0) + hits
    return {name: hits / hits.sum() for name, hits in count.items()}


def summary(by_language: dict) -> list:
    """One record a layer: shares, effective experts and overlaps."""
    out = []
    for name in next(iter(by_language.values())):
        one = {language: found[name] for language, found in by_language.items()}
        effective = {k: round(torch.special.entr(s).sum().exp().item(), 2) for k, s in one.items()}
        names = list(one)
        overlap = {f"{x}-{y}": round(torch.minimum(one[x], one[y]).sum().item(), 3)
                   for i, x in enumerate(names) for y in names[i + 1:]}
        out.append({"layer": name, "effective_experts": effective, "overlap": overlap,
                    "shares": {k: [round(v, 4) for v in s.tolist()] for k, s in one.items()}})
    return out


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("folder")
    ap.add_argument("dev")
    ap.add_argument("--pairs", default="de,fr,es")
    ap.add_argument("--rows", type=int, default=500)
    ap.add_argument("--out")
    ap.add_argument("--device")
    a = ap.parse_args()
    greedy = Greedy(a.folder, runtime.device(a.device))
    found = {}
    for language in a.pairs.split(","):
        pairs = list(rows(os.path.join(a.dev, f"dev.en-{language}.tsv"), drop=()))[:a.rows]
        found[language] = shares(greedy, pairs, language)
    table = summary(found)
    for line in table:
        print(line["layer"], "effective experts", line["effective_experts"], "overlap", line["overlap"])
    if a.out:
        with open(a.out, "w", encoding="utf8") as f:
            json.dump(table, f, indent=1)


if __name__ == "__main__":
    main()
