"""BLEU and chrF++ of what score.ts wrote, by sacrebleu: `python score.py OUT...`, a line of JSON a folder and search."""

import json
import pathlib
import sys

import sacrebleu


def lines(path: pathlib.Path) -> list[str]:
    """A file's lines, however odd the characters inside them (str.splitlines would cut at some)."""
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def score(folder: pathlib.Path, beams: int) -> dict:
    """Scores of all languages of a folder at one beam width, and their means."""
    bleu, chrf = sacrebleu.metrics.BLEU(), sacrebleu.metrics.CHRF(word_order=2)
    result = dict(folder=folder.name, beams=beams)
    totals = [0.0, 0.0]
    found = sorted(folder.glob(f"*.{beams}.txt"))
    for path in found:
        language = path.name.split(".")[0]
        ours, references = lines(path), lines(folder / f"{language}.reference.txt")
        assert len(ours) == len(references), f"{path} has {len(ours)} lines for {len(references)} references"
        pair = [bleu.corpus_score(ours, [references]).score, chrf.corpus_score(ours, [references]).score]
        result[language] = [round(s, 2) for s in pair]
        totals = [t + s / len(found) for t, s in zip(totals, pair)]
    return {**result, "mean": [round(t, 2) for t in totals], "signatures": [str(m.get_signature()) for m in (bleu, chrf)]}


if __name__ == "__main__":
    for name in sys.argv[1:]:
        for width in (1, 4):
            print(json.dumps(score(pathlib.Path(name), width)), flush=True)
