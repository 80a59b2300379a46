"""Packed token arrays -> an endless stream of batches whose shapes come from a small grid."""
import itertools
import json
import os
from collections.abc import Collection

from runtime import atomically
import numpy as np
import torch

PAD, EOS = 1, 2
GRID = np.array([6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96])
"""Lengths (with language and </s>) are padded up to one of these, so that few shapes occur (see moe.GROUP)."""
LONGEST = int(GRID[-1]) - 2
PASSED_OVER = 2
"""Rounds of drawing whose batches are left out: at first lists that fill fast would be nearly all that fill."""
TO_ENGLISH = "-en"
"""Ends the name of a pair into English: de is en to de, de-en the other way around."""


class Pair:
    """One language pair: token ids of all sentences end to end, and where each starts.

    `source` and `target` are the language tokens; `sides` the files of each, ("tgt", "src") for the other direction.
    """

    def __init__(self, folder: str, name: str, source: int, target: int, sides: tuple[str, str] = ("src", "tgt")):
        read = lambda part: np.load(os.path.join(folder, f"{name}.{part}.npy"), mmap_mode="r")
        starts = lambda side: np.concatenate([[0], np.cumsum(read(side + ".len").astype(np.int64))])
        self.src, self.tgt = map(read, sides)
        self.src_at, self.tgt_at = map(starts, sides)
        self.source, self.target = source, target
        lengths = np.stack([np.diff(self.src_at), np.diff(self.tgt_at)], 1) + 2
        self.cell = np.searchsorted(GRID, lengths)
        self.chance = np.clip((lengths[:, 1] - 2) / 12, 0.08, 1.0)
        self.same: list[tuple[Pair, np.ndarray]] = []
        """Other pairs with this source language, and where each has the sentence (-1: it does not); see `acquaint`."""

    def sample(self, rng, count: int):
        """Up to `count` random sentence numbers; interface labels of a word or two are mostly passed over."""
        picked = rng.integers(0, len(self.cell), count)
        return picked[rng.random(count) < self.chance[picked]]

    def group(self, i) -> list:
        """Sentence i, then the same source's translations in the pairs that it was acquainted with, as (pair, number)."""
        return [(self, i)] + [(pair, at[i]) for pair, at in self.same if at[i] >= 0]

    def sources(self):
        """The token ids of each source, as bytes."""
        ids, at = np.asarray(self.src), self.src_at
        return (ids[at[i]:at[i + 1]].tobytes() for i in range(len(at) - 1))


def acquaint(pairs: list[Pair]) -> None:
    """Fills `same` of pairs of one folder."""
    for other in pairs:
        known = {ids: i for i, ids in enumerate(other.sources())}
        for pair in pairs:
            if pair is not other and pair.source == other.source:
                found = (known.get(ids, -1) for ids in pair.sources())
                pair.same.append((other, np.fromiter(found, np.int32, len(pair.cell))))


def write_pair(folder: str, name: str, pairs: list) -> None:
    """[(source ids, target ids)] -> the four arrays that a Pair reads, each of them whole or not there."""
    for part, sides in (("src", [p[0] for p in pairs]), ("tgt", [p[1] for p in pairs])):
        lengths = np.array([len(ids) for ids in sides], np.uint16)
        flat = np.fromiter(itertools.chain.from_iterable(sides), np.uint16, int(lengths.sum()))
        for ending, found in (("npy", flat), ("len.npy", lengths)):
            atomically(os.path.join(folder, f"{name}.{part}.{ending}"), lambda path: save(path, found))


def save(path: str, found: np.ndarray) -> None:
    """np.save under exactly this name."""
    with open(path, "wb") as f:
        np.save(f, found)


def languages(folder: str) -> dict[str, list[int]]:
    """The language tokens (of source and target) of each pair in a folder of tokens.py."""
    with open(os.path.join(folder, "meta.json"), encoding="utf8") as f:
        return json.load(f)["pairs"]


def write_languages(folder: str, vocabulary: int, pairs: dict[str, list[int]]) -> None:
    """What `languages` reads."""
    with open(os.path.join(folder, "meta.json"), "w", encoding="utf8") as f:
        json.dump({"vocab_size": vocabulary, "pairs": pairs}, f)


def open_pair(folder: str, name: str) -> Pair:
    """The pair XX of a folder, which is from English, or XX-en: the same the other way around unless it has its own."""
    known, forward = languages(folder), name.removesuffix(TO_ENGLISH)
    if name in known:
        return Pair(folder, name, *known[name])
    source, target = known[forward]
    return Pair(folder, forward, target, source, ("tgt", "src"))


class Batches:
    """Iterating gives (source [B, S], target [B, T], labels [B, T]) id tensors of about `slots` positions a side.

    `folders`: one, or several with commas between. Pairs are drawn equally often, of every folder. Sentences wait in one
    list per (S, T) of the grid until they fill a batch; those of the pairs or folders in `apart` share none with the rest,
    and `was_apart` tells whether the batch given last is one of theirs.

    `together`: a sentence that was drawn brings its translations in the other pairs with it (but none across `apart`), G in
    all, into a batch of sentences that have as many. The source is then [B / G, S], and row r of the target belongs to row r // G of it.
    """

    def __init__(self, folders: str, pairs: list[str], slots: int, seed: int, apart: Collection[str] = (),
                 together: bool = False):
        opened = {folder: [open_pair(folder, p) for p in pairs] for folder in folders.split(",")}
        for found, known in itertools.product(opened.values() if together else (), (True, False)):
            acquaint([pair for name, pair in zip(pairs, found) if (name in apart) == known])
        self.pairs = [(pair, name in apart or folder in apart) for folder in folders.split(",")
                      for name, pair in zip(pairs, opened[folder])]
        self.slots, self.rng = slots, np.random.default_rng(seed)
        self.waiting, self.was_apart = {}, False

    def __iter__(self):
        for turn in itertools.count():
            drawn = [(p.group(i), apart) for p, apart in self.pairs for i in p.sample(self.rng, 4000)]
            for k in self.rng.permutation(len(drawn)):
                group, apart = drawn[k]
                s, t = np.max([pair.cell[i] for pair, i in group], axis=0)
                groups = self.waiting.setdefault((s, t, len(group), apart), [])
                groups.append(group)
                if len(groups) * len(group) >= max(1, self.slots // GRID[max(s, t)]):
                    self.was_apart, full = apart, self.waiting.pop((s, t, len(group), apart))
                    if turn >= PASSED_OVER:
                        yield collate(full, GRID[s], GRID[t])


def collate(groups, S: int, T: int):
    """Source = [language] ids </s>; labels = the same of the target; decoder input = </s>, then labels shifted.

    Each group is a list of (pair, sentence number) with one source.
    """
    rows = [row for group in groups for row in group]
    source = filled([(p.source, p.src, p.src_at, i) for (p, i), *_ in groups], S)
    labels = filled([(p.target, p.tgt, p.tgt_at, i) for p, i in rows], T)
    target = np.full_like(labels, PAD)
    target[:, 0], target[:, 1:] = EOS, np.where(labels[:, :-1] == EOS, PAD, labels[:, :-1])
    return tuple(torch.from_numpy(a) for a in (source, target, labels))


def filled(sides: list, length: int) -> np.ndarray:
    """[(language, ids, starts, number)] -> [rows, length]: the language, the sentence's ids, </s>, padding."""
    out = np.full((len(sides), length), PAD)
    for row, (language, ids, at, i) in zip(out, sides):
        part = ids[at[i]:at[i + 1]]
        row[0], row[1:len(part) + 1], row[len(part) + 1] = language, part, EOS
    return out
