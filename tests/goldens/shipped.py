"""shipped/NAME.json: what transformers makes of a model that ships (f32 arithmetic) on 100 dev sentences.

Its weights are those of the packed model, unpacked again by unpack.py.
"""

import json
import pathlib

import torch
import transformers
from tokenizers import Tokenizer

import record
import search
import tiny

SENTENCES = 100
CODES = {"eng_Latn": "en", "deu_Latn": "de", "fra_Latn": "fr", "spa_Latn": "es"}
NEW_TOKENS = 64
BEAM_SENTENCES = 20
BEAM_MAX_LENGTH = 64


def rows(corpus: pathlib.Path, pairs: list[str]) -> list[dict]:
    """Every second row of the first ones, as many of each pair (eng_Latn-deu_Latn) as SENTENCES has room for."""
    picked = []
    for i, pair in enumerate(pairs):
        source, target = pair.split("-")
        backwards = target == "eng_Latn"
        lines = (corpus / f"dev.en-{CODES[source if backwards else target]}.tsv").read_text(encoding="utf-8").split("\n")
        count = SENTENCES // len(pairs) + (i < SENTENCES % len(pairs))
        for row in range(0, 2 * count, 2):
            text = lines[row].split("\t")[1 if backwards else 0]
            picked.append(dict(pair=f"{CODES[source]}-{CODES[target]}", row=row, target_language=target, text=text))
    return picked


def encode(tokenizer: Tokenizer, text: str, source: str) -> list[int]:
    """[source language] tokens </s>; the tokenizer by itself puts English first."""
    return [tokenizer.token_to_id(source), *tokenizer.encode(text).ids[1:]]


def greedy(model, source: list[int], target: int) -> dict:
    """Tokens, and the least logit gap and router gap (both absolute) on the way with the largest |logit|."""
    ids = torch.tensor([source])
    with record.Watch(model) as watch:
        out = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), forced_bos_token_id=target, do_sample=False,
            num_beams=1, max_new_tokens=NEW_TOKENS, return_dict_in_generate=True, output_logits=True,
        )
    free = torch.cat(out.logits[1:])  # [steps, vocab]; the first token is forced
    top = free.topk(2).values
    gaps = (top[:, 0] - top[:, 1]).tolist()
    return dict(
        greedy=out.sequences[0].tolist(), greedy_gap=min(gaps), greedy_gap_step=gaps.index(min(gaps)) + 1,
        largest=float(free.abs().max()), router_gap=watch.gap, router_largest=watch.largest,
    )


def beam(model, source: list[int], target: int) -> dict:
    """Beam-4 tokens and score by generate(), with the least gap of any decision by search.py."""
    ids = torch.tensor([source])
    out = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), forced_bos_token_id=target, do_sample=False, num_beams=4,
        length_penalty=1.0, early_stopping=False, max_length=BEAM_MAX_LENGTH, return_dict_in_generate=True,
        output_scores=True,
    )
    limits = search.Limits(start=2, end=2, forced=target, max_length=BEAM_MAX_LENGTH)
    best, gap = search.beam(record.Sentence(model, source).step, limits)
    tokens = out.sequences[0].tolist()
    assert best.tokens == tokens or gap < 1e-3, "search.py and transformers part at no close call"
    return dict(tokens=tokens, score=float(out.sequences_scores[0]), gap=gap)


@torch.no_grad()
def make(checkpoint: pathlib.Path, corpus: pathlib.Path, out: pathlib.Path) -> None:
    """Writes shipped/NAME.json into `out`; a few minutes on one thread."""
    about = json.loads((checkpoint / "moqe.json").read_text())  # unpack.py's
    languages = {code: language for language, code in CODES.items()}
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    model = tiny.load(checkpoint)
    picked = rows(corpus, about["pairs"])
    for index, row in enumerate(picked):
        row["source"] = encode(tokenizer, row["text"], languages[row["pair"].split("-")[0]])
        target = tokenizer.token_to_id(row["target_language"])
        row.update(greedy(model, row["source"], target))
        row["text_out"] = tokenizer.decode(row["greedy"])
        # Every fifth sentence, so that the three pairs share the beams.
        if index % (len(picked) // BEAM_SENTENCES) == 0:
            row["beam"] = beam(model, row["source"], target)
        if index % 10 == 0:
            print(index, row["text_out"][:80], row.get("beam", {}).get("gap"), flush=True)
    header = dict(transformers=transformers.__version__, torch=torch.__version__, max_new_tokens=NEW_TOKENS,
                  manifest_sha256=about["manifest_sha256"],
                  beam=dict(num_beams=4, length_penalty=1.0, early_stopping=False, max_length=BEAM_MAX_LENGTH))
    (out / "shipped" / f"{about['name']}.json").write_text(json.dumps({**header, "sentences": picked}, ensure_ascii=False, indent=1) + "\n")
