"""TSV pairs -> packed token arrays for batches.py.

python tokens.py TOKENIZER OUT FILE...: each FILE is en-XX.tsv, .tsv.gz or .tsv.xz with lines `English TAB translation
[TAB origin]`. Per pair it writes XX.src.npy, XX.tgt.npy (uint16 ids end to end) and XX.src.len.npy, XX.tgt.len.npy.
"""
import argparse
import gzip
import lzma
import os
import re

import numpy as np
from tokenizers import Tokenizer

from batches import LONGEST, write_languages, write_pair

CODES = {"en": "eng_Latn", "de": "deu_Latn", "fr": "fra_Latn", "es": "spa_Latn", "it": "ita_Latn", "pt_BR": "por_Latn",
         "ru": "rus_Cyrl", "ja": "jpn_Jpan"}
NOISY = ("doc/lilypond-doc-html", "doc/gimp-help")
OPEN = {".gz": gzip.open, ".xz": lzma.open}


def rows(path: str, drop=NOISY):
    """(English, translation) of every line whose origin is not dropped."""
    opener = OPEN.get(os.path.splitext(path)[1], open)
    with opener(path, "rt", encoding="utf8", newline="\n") as f:
        for line in f:
            part = line.rstrip("\n").split("\t")
            if len(part) >= 2 and not (len(part) > 2 and part[2].startswith(tuple(drop))):
                yield part[0], part[1]


def write_rows(out: str, language: str, found) -> None:
    """OUT/en-LANGUAGE.tsv of (English, translation, origin), as `rows` reads them."""
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, f"en-{language}.tsv"), "w", encoding="utf8", newline="\n") as f:
        for row in found:
            f.write("\t".join(text.replace("\t", " ") for text in row) + "\n")


def encode(tokenizer: Tokenizer, pairs: list, block: int = 20000):
    """Id lists of both sides, without special tokens; pairs with an empty or too long side are left out."""
    for at in range(0, len(pairs), block):
        texts = ([p[k] for p in pairs[at:at + block]] for k in (0, 1))
        sides = [tokenizer.encode_batch_fast(t, add_special_tokens=False) for t in texts]
        for source, target in zip(*sides):
            if 1 <= len(source.ids) <= LONGEST and 1 <= len(target.ids) <= LONGEST:
                yield np.array(source.ids, np.uint16), np.array(target.ids, np.uint16)


def pair_of(path: str) -> str:
    """XX of a file en-XX.tsv or dev.en-XX.tsv, packed or not."""
    return re.fullmatch(r"(?:dev\.)?en-(\w+)\.tsv(\.gz|\.xz)?", os.path.basename(path)).group(1)


def write_about(out: str, tokenizer: Tokenizer, names: list[str]) -> None:
    """OUT/meta.json: the vocabulary's size and the language tokens of each pair."""
    pairs = {name: [tokenizer.token_to_id(CODES["en"]), tokenizer.token_to_id(CODES[name])] for name in names}
    write_languages(out, tokenizer.get_vocab_size(), pairs)


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("tokenizer", help="folder with tokenizer.json")
    ap.add_argument("out")
    ap.add_argument("files", nargs="+")
    ap.add_argument("--drop", nargs="*", default=list(NOISY), help="origins left out (default: %(default)s)")
    ap.add_argument("--merge-dropout", type=float, default=0, help="share of the BPE's merges passed over, by chance")
    a = ap.parse_args()
    os.makedirs(a.out, exist_ok=True)
    tokenizer = Tokenizer.from_file(os.path.join(a.tokenizer, "tokenizer.json"))
    if a.merge_dropout:
        # Other cuts of the same words (Provilkov et al. 2020): train on such a folder beside the plain one.
        tokenizer.model.dropout = a.merge_dropout
    for path in a.files:
        name = pair_of(path)
        kept = list(encode(tokenizer, list(rows(path, a.drop))))
        write_pair(a.out, name, kept)
        print(name, len(kept), "pairs,", sum(len(p[1]) for p in kept), "target tokens", flush=True)
    write_about(a.out, tokenizer, list(map(pair_of, a.files)))


if __name__ == "__main__":
    main()
