"""tokenizer/: ids and decoded text by the Python `tokenizers` library, for two tokenizers.

Text is encoded with `encode_special_tokens` on: what a user writes is text, never a control token.
"""

import gzip
import json
import pathlib
import random
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

import hostile
import tiny

LINES = {"en": 380, "de": 200, "fr": 200, "es": 180, "ru": 20, "ja": 20}
LONGEST = 110  # characters of a line
PIECES = 1000


def dev_lines(corpus: pathlib.Path) -> list[str]:
    """Short dev lines, as many of each language as LINES says, English from the en-de file."""
    lines = []
    for code, count in LINES.items():
        name, column = ("de", 0) if code == "en" else (code, 1)
        rows = (corpus / f"dev.en-{name}.tsv").read_text(encoding="utf-8").rstrip("\n").split("\n")
        lines += [text for row in rows if len(text := row.split("\t")[column]) <= LONGEST][:count]
    return lines


def train(corpus: pathlib.Path) -> sentencepiece_model_pb2.ModelProto:
    """A small sentencepiece BPE model with the nmt_nfkc normalizer, on dev text."""
    with tempfile.TemporaryDirectory() as folder:
        rows = "".join((corpus / f"dev.en-{code}.tsv").read_text(encoding="utf-8") for code in ["de", "fr", "es"])
        text = pathlib.Path(folder, "text")
        text.write_text("\n".join(cell for row in rows.split("\n") for cell in row.split("\t")[:2]), encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=f"{folder}/spm", vocab_size=PIECES, model_type="bpe", character_coverage=0.999,
            normalization_rule_name="nmt_nfkc", num_threads=1, minloglevel=2, bos_id=-1, pad_id=-1, eos_id=-1, unk_id=0,
        )
        proto = sentencepiece_model_pb2.ModelProto()
        proto.ParseFromString(pathlib.Path(folder, "spm.model").read_bytes())
    return proto


def merges_of(vocab: dict[str, int], scores: dict[str, float]) -> list[tuple[str, str]]:
    """sentencepiece keeps pieces with scores; BPE wants pairs in order: every split of a piece into two pieces."""
    pairs = []
    for piece, score in scores.items():
        splits = [(piece[:i], piece[i:]) for i in range(1, len(piece))]
        known = [pair for pair in splits if pair[0] in vocab and pair[1] in vocab]
        pairs += [(-score, vocab[a], vocab[b], a, b) for a, b in known]
    return [(a, b) for *_, a, b in sorted(pairs)]


def convert(proto: sentencepiece_model_pb2.ModelProto) -> Tokenizer:
    """The parts that transformers gives NLLB's fast tokenizer: Precompiled, BPE without byte fallback, Metaspace."""
    pieces = [piece for piece in proto.pieces if piece.type == 1]
    tokens = [*tiny.SPECIALS, *(piece.piece for piece in pieces), *tiny.LANGUAGES, "<mask>"]
    vocab = {token: i for i, token in enumerate(tokens)}
    merges = merges_of(vocab, {piece.piece: piece.score for piece in pieces})
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap),
        normalizers.Strip(left=False, right=True),
        normalizers.Replace(Regex(" {2,}"), "▁"),
    ])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    special = [*tiny.SPECIALS, *tiny.LANGUAGES]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    tokenizer.add_special_tokens([AddedToken("<mask>", normalized=False, lstrip=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="eng_Latn $A </s>", pair="eng_Latn $A $B </s>",
        special_tokens=[(token, vocab[token]) for token in ["eng_Latn", "</s>"]],
    )
    return tokenizer


def random_ids(size: int) -> list[list[int]]:
    """Sequences no text gives: stray bytes, specials in the middle, pieces out of place."""
    draw = random.Random(2)
    return [[draw.randrange(size) for _ in range(draw.randrange(1, 12))] for _ in range(60)] + [
        [draw.randrange(4, min(300, size)) for _ in range(draw.randrange(1, 8))] for _ in range(60)
    ]


def golden(tokenizer: Tokenizer, lines: list[str]) -> dict:
    """Ids of lines and hostile texts without specials, and decoded ids with specials skipped."""
    tokenizer.encode_special_tokens = True
    ids = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    return dict(
        lines=[[text, ids(text)] for text in lines],
        hostile=[[text, ids(text), tokenizer.decode(ids(text))] for text in hostile.texts()],
        decode=[[row, tokenizer.decode(row)] for row in random_ids(tokenizer.get_vocab_size())],
    )


def write(path: pathlib.Path, text: str) -> None:
    """Gzip without a time stamp, so that a rebuild gives the same bytes."""
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")


def make(checkpoint: pathlib.Path, corpus: pathlib.Path, out: pathlib.Path) -> None:
    """Writes both tokenizers and their goldens into `out`/tokenizer."""
    folder = out / "tokenizer"
    folder.mkdir(exist_ok=True)
    lines = dev_lines(corpus)
    shared = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    for name, tokenizer in {"shared": shared, "sentencepiece": convert(train(corpus))}.items():
        write(folder / f"{name}.tokenizer.json.gz", tokenizer.to_str())
        write(folder / f"{name}.json.gz", json.dumps(golden(tokenizer, lines), ensure_ascii=False))
