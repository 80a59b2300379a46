"""A model's own translations as training text, for what is to be made of it: fewer bits, or a smaller model.

python distil.py DATA OUT --init FOLDER [--weights W] --minutes 30. DATA is a folder of tokens.py or monolingual.py; OUT
becomes one like those of tokens.py, of the sentences that there was time for. Sequence-level distillation (Kim & Rush 2016):
where DATA has a reference, of the K ended beams the one with the highest smoothed sentence BLEU against it, over the
model's tokens (their section 3.3); else the most probable.
"""
import argparse
import math
import os
import time
from collections import Counter

import runtime
import numpy as np
import torch

from batches import EOS, GRID, LONGEST, Pair, open_pair, write_languages, write_pair
from beam import Beams
from checkpoint import read_model
from decode import pad


def bleu(ours: list[int], reference: list[int]) -> float:
    """Sentence BLEU of up to four tokens, every count but the first plus one (Lin & Och 2004); 0 to 1."""
    if not ours:
        return 0.0
    total = min(0.0, 1 - len(reference) / len(ours))
    for n in range(1, 5):
        a, b = (Counter(zip(*(ids[i:] for i in range(n)))) for ids in (ours, reference))
        right, of, more = sum((a & b).values()), max(0, len(ours) - n + 1), int(n > 1)
        if not right + more:
            return 0.0
        total += math.log((right + more) / (of + more)) / 4
    return math.exp(total)


def nearest(candidates: list[list[int]], reference: list[int]) -> list[int]:
    """The candidate with the highest BLEU; the first (most probable) of equals."""
    return max(candidates, key=lambda ids: bleu(ids, reference))


class Pile:
    """Sentences of one pair in random order, handed out in batches of like length."""

    def __init__(self, pair: Pair, seed: int, tokens: int, share: tuple[int, int]):
        self.pair, self.tokens = pair, tokens
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(pair.cell))[share[0]::share[1]]
        words = np.diff(pair.src_at)[order]
        self.order = order[rng.random(len(order)) < np.clip(words / 12, 0.08, 1.0)]
        self.stream = self.batches()

    def batches(self):
        """(sentence numbers, source ids [B, S] of one grid length)."""
        waiting = {}
        for i in self.order:
            S = GRID[self.pair.cell[i][0]]
            row = waiting.setdefault(S, [])
            row.append(i)
            if len(row) >= max(4, min(128, self.tokens // S)):
                yield waiting.pop(S)
        yield from waiting.values()

    def ids(self, which: str, i: int) -> list[int]:
        """Of the `src` or `tgt` side, without language and end."""
        at = getattr(self.pair, which + "_at")
        return getattr(self.pair, which)[at[i]:at[i + 1]].tolist()


def work(pile: Pile, beams: Beams, out: list) -> bool:
    """Translates the next batch of a pile into (source ids, chosen ids); False where the pile is empty."""
    numbers = next(pile.stream, None)
    if numbers is None:
        return False
    p = pile.pair
    source = pad([[p.source, *pile.ids("src", i), EOS] for i in numbers], beams.model.config.pad_token_id)
    for i, found in zip(numbers, beams.search(source.to(beams.table.device), p.target)):
        out.append((pile.ids("src", i), nearest(found, pile.ids("tgt", i))))
    return True


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("data", help="folder of tokens.py or monolingual.py")
    ap.add_argument("out")
    ap.add_argument("--init", required=True, help="folder with configuration and weights")
    ap.add_argument("--weights", help="safetensors instead of those of --init")
    ap.add_argument("--pairs", default="de,fr,es")
    ap.add_argument("--beams", type=int, default=4)
    ap.add_argument("--minutes", type=float, default=30)
    ap.add_argument("--slots", type=int, default=2048, help="source positions a batch, padding included")
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--share", default="0/1", help="k/n: every n-th sentence from the k-th on, for several processes")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--device")
    ap.add_argument("--save-minutes", type=float, default=5)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    os.makedirs(a.out, exist_ok=True)
    beams = Beams(read_model(a.init, a.weights).to(runtime.device(a.device)), a.beams)
    names, share = a.pairs.split(","), tuple(map(int, a.share.split("/")))
    piles = [Pile(open_pair(a.data, n), a.seed, a.slots, share) for n in names]
    write_languages(a.out, beams.model.config.vocab_size, {n: [p.pair.source, p.pair.target] for n, p in zip(names, piles)})
    kept = {n: [] for n in names}
    begun = saved = time.monotonic()
    while time.monotonic() - begun < a.minutes * 60 and any([work(p, beams, kept[n]) for n, p in zip(names, piles)]):
        if time.monotonic() - saved > a.save_minutes * 60:
            saved = report(a.out, kept, begun)
    report(a.out, kept, begun)


def report(out: str, kept: dict, begun: float) -> float:
    """Writes what there is but for empty and too long translations, prints how much; the time now."""
    for name, pairs in kept.items():
        write_pair(out, name, [p for p in pairs if 1 <= len(p[1]) <= LONGEST])
    now, tokens = time.monotonic(), sum(len(p[1]) for pairs in kept.values() for p in pairs)
    count = sum(map(len, kept.values()))
    print(f"{count} sentences, {tokens} tokens, {tokens / (now - begun):.0f} a second", flush=True)
    return now


if __name__ == "__main__":
    main()
