"""BLEU and chrF++ of what score.ts wrote, by sacrebleu: `python score.py OUT...`, a line of JSON a folder and search.

`--against OUT` adds the difference of the mean BLEU to another folder's, with the 95 % of a paired bootstrap; `--pairs
'en-*'` takes only pairs whose names are like that.
"""

import argparse
import json
import pathlib
import random

import sacrebleu


def lines(path: pathlib.Path) -> list[str]:
    """A file's lines, however odd the characters inside them (str.splitlines would cut at some)."""
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def score(folder: pathlib.Path, beams: int, pairs: str) -> dict:
    """Scores of the pairs of a folder at one beam width, and their means."""
    bleu, chrf = sacrebleu.metrics.BLEU(), sacrebleu.metrics.CHRF(word_order=2)
    result = dict(folder=folder.name, beams=beams)
    totals = [0.0, 0.0]
    found = sorted(folder.glob(f"{pairs}.{beams}.txt"))
    for path in found:
        pair = path.name.split(".")[0]
        ours, references = lines(path), lines(folder / f"{pair}.reference.txt")
        assert len(ours) == len(references), f"{path} has {len(ours)} lines for {len(references)} references"
        both = [bleu.corpus_score(ours, [references]).score, chrf.corpus_score(ours, [references]).score]
        result[pair] = [round(s, 2) for s in both]
        totals = [t + s / len(found) for t, s in zip(totals, both)]
    return {**result, "mean": [round(t, 2) for t in totals], "signatures": [str(m.get_signature()) for m in (bleu, chrf)]}


def counts(folder: pathlib.Path, beams: int, pairs: str) -> dict:
    """What BLEU counts in each sentence, by pair: lists of numbers that add up."""
    def of(path):
        references = lines(folder / f"{path.name.split('.')[0]}.reference.txt")
        return sacrebleu.metrics.BLEU()._extract_corpus_statistics(lines(path), [references])
    return {path.name: of(path) for path in sorted(folder.glob(f"{pairs}.{beams}.txt"))}


def mean_bleu(found: dict, rows: dict) -> float:
    """Mean over pairs of the BLEU of some sentences, by their numbers."""
    def bleu(statistics, picked):
        total = [sum(column) for column in zip(*(statistics[i] for i in picked))]
        return sacrebleu.metrics.BLEU()._compute_score_from_stats(total).score
    return sum(bleu(found[name], rows[name]) for name in found) / len(found)


def difference(ours: pathlib.Path, theirs: pathlib.Path, beams: int, pairs: str, samples: int = 500) -> dict:
    """How much better ours are, and between what 95 % of resamplings of the sentences lie."""
    a, b, rng = counts(ours, beams, pairs), counts(theirs, beams, pairs), random.Random(0)
    every = {name: range(len(found)) for name, found in a.items()}
    gap = lambda rows: mean_bleu(a, rows) - mean_bleu(b, rows)
    found = sorted(gap({n: rng.choices(r, k=len(r)) for n, r in every.items()}) for _ in range(samples))
    low, high = found[round(0.025 * samples)], found[round(0.975 * samples) - 1]
    return {"against": theirs.name, "difference": [round(v, 2) for v in (gap(every), low, high)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="+", type=pathlib.Path)
    parser.add_argument("--against", type=pathlib.Path)
    parser.add_argument("--pairs", default="*")
    a = parser.parse_args()
    for folder in a.out:
        for width in (1, 4):
            more = difference(folder, a.against, width, a.pairs) if a.against else {}
            print(json.dumps({**score(folder, width, a.pairs), **more}), flush=True)


if __name__ == "__main__":
    main()
