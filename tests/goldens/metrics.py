"""What sacrebleu says of small, odd corpora: `python metrics.py CORPUS` writes metrics.json beside itself.

CORPUS holds dev.en-XX.tsv. Hypotheses are references bent by rule, so that scores spread from 0 to 100.
"""
import json
import pathlib
import random
import sys

import sacrebleu

ODD = [
    ("", ""), ("", "a reference"), ("a hypothesis", ""), (".", "."), ("a", "a"), ("(a)", "(a)"), ("a.b", "a. b"),
    ("&quot;x&amp;y&lt;z&gt;", "\"x&y<z>"), ("1,000.5 is 3-4", "1,000.5 is 3 - 4"), ("tab\there\x1fand\u00a0there", "tab here and there"),
    ("\ufeffmark", "mark"), ("na\u00efve \U0001f600 caf\u00e9", "naive \U0001f600 cafe"), ("...", "\u2026"), ("I'm \"fine\"!", "I\u2019m \u201efine\u201c!"),
    ("a <skipped> b", "a b"), ("\u4f60\u597d\u4e16\u754c", "\u4f60\u597d \u4e16\u754c"), ("x\u2028y\u3000z", "x y z"), ("  spaces   everywhere ", "spaces everywhere"),
]


def bent(line: str, chance: random.Random) -> str:
    """A line with some words dropped, doubled, swapped or respelt."""
    words = line.split(" ")
    rate = chance.choice([0, 0.05, 0.2, 0.5])
    out = []
    for word in words:
        turn = chance.random()
        if turn > rate:
            out.append(word)
        elif turn < rate / 4:
            out.append(word[::-1])
        elif turn < rate / 2:
            out += [word, word]
    if chance.random() < rate and len(out) > 1:
        out[0], out[-1] = out[-1], out[0]
    return " ".join(out)


def scores(pairs) -> dict:
    """BLEU and chrF++ of a corpus."""
    ours, theirs = [p[0] for p in pairs], [[p[1] for p in pairs]]
    return {"bleu": sacrebleu.metrics.BLEU().corpus_score(ours, theirs).score,
            "chrf": sacrebleu.metrics.CHRF(word_order=2).corpus_score(ours, theirs).score}


def main() -> None:
    chance = random.Random(1)
    corpora = [ODD] + [[pair] for pair in ODD]
    for language in ("de", "ja", "ru"):
        rows = pathlib.Path(sys.argv[1], f"dev.en-{language}.tsv").read_text(encoding="utf-8").split("\n")
        references = [r.split("\t")[1] for r in rows[1:80:2]]
        corpora.append([(bent(r, chance), r) for r in references])
    bleu, chrf = sacrebleu.metrics.BLEU(), sacrebleu.metrics.CHRF(word_order=2)
    bleu.corpus_score(["a"], [["a"]])
    chrf.corpus_score(["a"], [["a"]])
    found = {"sacrebleu": sacrebleu.__version__, "signatures": [str(bleu.get_signature()), str(chrf.get_signature())],
             "corpora": [{"pairs": pairs, **scores(pairs)} for pairs in corpora]}
    path = pathlib.Path(__file__).with_name("metrics.json")
    path.write_text(json.dumps(found, ensure_ascii=True, indent=0) + "\n", encoding="utf-8")
    print(path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
