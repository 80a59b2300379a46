"""A new BPE vocabulary with byte fallback in the layout of NLLB's tokenizer.json.

python vocabulary.py OUT FILE... --size 12000: FILE is en-XX.tsv[.gz|.xz]; both sides are learnt from. Ids: <s> 0,
<pad> 1, </s> 2, <unk> 3, 256 bytes, pieces, language codes, <mask>. (Continuing a checkpoint: use its own instead.)
"""
import argparse
import json
import os
import random

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tokens import rows

FIRST = ["<s>", "<pad>", "</s>", "<unk>"]
CODES = ["eng_Latn", "deu_Latn", "fra_Latn", "spa_Latn", "ita_Latn", "por_Latn", "nld_Latn", "pol_Latn", "swe_Latn",
         "rus_Cyrl", "jpn_Jpan", "zho_Hans"]
BYTES = [f"<0x{i:02X}>" for i in range(256)]


def pipeline(vocabulary: dict, merges: list) -> Tokenizer:
    """Normalizer, pre-tokenizer, BPE and decoder; [eng_Latn] text </s> around a single text."""
    t = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    spaces = normalizers.Replace(Regex(r"\s+"), " ")
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), spaces, normalizers.Strip()])
    t.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always", split=True)
    t.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                   decoders.Strip(" ", 1, 0)])
    return t


def learn(texts: list[str], pieces: int) -> tuple[list[str], list]:
    """`pieces` BPE pieces and their merges, single characters included."""
    t = pipeline({}, [])
    t.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=pieces, limit_alphabet=400, show_progress=False))
    model = json.loads(t.to_str())["model"]
    return sorted(model["vocab"], key=model["vocab"].get), [tuple(m) for m in model["merges"]]


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out")
    ap.add_argument("files", nargs="+")
    ap.add_argument("--size", type=int, default=12000)
    ap.add_argument("--pairs-each", type=int, default=200_000, help="pairs of each file that are learnt from")
    a = ap.parse_args()
    texts = []
    for path in a.files:
        pairs = list(rows(path))
        texts += [t for p in random.Random(0).sample(pairs, min(a.pairs_each, len(pairs))) for t in p]
    pieces, merges = learn(texts, a.size - len(FIRST) - len(BYTES) - len(CODES) - 1)
    order = [*FIRST, *BYTES, *pieces, *CODES, "<mask>"]
    vocabulary = {piece: i for i, piece in enumerate(order)}
    t = pipeline(vocabulary, merges)
    t.add_special_tokens([*FIRST, *CODES, "<mask>"])
    t.post_processor = processors.TemplateProcessing(
        single="eng_Latn $A </s>", pair="eng_Latn $A $B </s>",
        special_tokens=[("eng_Latn", vocabulary["eng_Latn"]), ("</s>", vocabulary["</s>"])])
    os.makedirs(a.out, exist_ok=True)
    t.save(os.path.join(a.out, "tokenizer.json"))
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
             "pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>", "additional_special_tokens": CODES, "model_max_length": 512}
    with open(os.path.join(a.out, "tokenizer_config.json"), "w", encoding="utf8") as f:
        json.dump(about, f, indent=2)
    print(len(vocabulary), "pieces")


if __name__ == "__main__":
    main()
