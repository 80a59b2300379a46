"""English that has no translation here, for distil.py to translate: arrays like those of tokens.py, with empty targets.

python monolingual.py TOKENIZER OUT --guard DEV FILE...: FILE is en-XX.tsv, .tsv.gz or .tsv.xz of the training text. XX
gets what the other files have and its own has not, and every package description (fetched into OUT/apt) that its own has
not. Held out as for corpus.py: description buckets (of sentences and of whole paragraphs), and what shares most six-grams
with a dev row of DEV.
"""
import argparse
import os
import random
import re

from tokenizers import Tokenizer

import cleaning
import holdout
import sources
from batches import LONGEST, write_pair
from corpus import dev_rows
from debs import Archive
from tokens import pair_of, rows, write_about

WORDS = range(4, 61)
"""Words of a sentence that is taken."""


def described(archive: Archive) -> dict[str, str]:
    """Key -> sentence of all English package descriptions outside the held-out buckets."""
    found = {}
    for language, text in archive.descriptions():
        for body in re.findall(r"^Description-en: (.*(?:\n .*)*)", text, re.M) if language == "en" else ():
            for paragraph in map(cleaning.plain, sources.paragraphs(body)):
                if holdout.held_description(holdout.key(paragraph)):
                    continue  # where a translation has other sentences, the pair is of whole paragraphs
                for sentence in cleaning.sentences(paragraph):
                    k = holdout.key(sentence)
                    if not holdout.held_description(k):
                        found.setdefault(k, sentence)
    return found


def usable(sentence: str) -> bool:
    """Of some length, with a letter at its start and words for the most part."""
    words = sentence.split()
    return len(words) in WORDS and sentence[:1].isalpha() and sum(map(str.isalpha, sentence)) > 0.7 * len(sentence)


def write(out: str, name: str, texts: list[str], tokenizer: Tokenizer) -> int:
    """The arrays of one language, in random order; how many sentences there are."""
    ids = [e.ids for e in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
    ids = [i for i in ids if 1 <= len(i) <= LONGEST]
    random.Random(0).shuffle(ids)
    write_pair(out, name, [(i, []) for i in ids])
    return len(ids)


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("tokenizer", help="folder with tokenizer.json")
    ap.add_argument("out")
    ap.add_argument("files", nargs="+")
    ap.add_argument("--guard", required=True, help="folder with dev.en-XX.tsv")
    a = ap.parse_args()
    os.makedirs(a.out, exist_ok=True)
    tokenizer = Tokenizer.from_file(os.path.join(a.tokenizer, "tokenizer.json"))
    guard = holdout.Guard(dev_rows(a.guard))
    archive = Archive(os.path.join(a.out, "apt"))
    archive.update()
    texts = {"": described(archive)}
    for path in a.files:
        texts[pair_of(path)] = {holdout.key(s): s for s, _ in rows(path)}
    fine = lambda k, s: usable(s) and not guard.hits(k, s)
    everything = {k: s for found in texts.values() for k, s in found.items()}
    everything = {k: s for k, s in everything.items() if fine(k, s)}
    for name in filter(None, texts):
        new = [s for k, s in everything.items() if k not in texts[name]]
        print(name, write(a.out, name, new, tokenizer), "sentences", flush=True)
    write_about(a.out, tokenizer, list(filter(None, texts)))


if __name__ == "__main__":
    main()
