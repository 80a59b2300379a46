"""Finds sentences whose every decision is clear of the tolerance, and writes a checkpoint's golden.json."""

import base64
import contextlib
import json
import math
import pathlib
import random

import torch
import transformers

import search
import tiny

# The contract: |logit difference| <= TOLERANCE x max |reference logit|; every gap is at least SAFETY times that.
TOLERANCE = 1e-4
SAFETY = 10
MAX_LENGTH = 24
LENGTHS = [1, 3, 6, 11, 17]
TARGETS = 12  # tokens of the teacher-forced target after the language token


def f32(tensor: torch.Tensor) -> dict:
    """A tensor as JSON: shape, and base64 of little-endian f32."""
    data = tensor.detach().float().contiguous().numpy().astype("<f4").tobytes()
    return {"shape": list(tensor.shape), "f32": base64.b64encode(data).decode()}


class Watch(contextlib.AbstractContextManager):
    """Records, over all routers, the smallest gap that changes who is chosen or in what order, and the largest |logit|."""

    def __init__(self, model: torch.nn.Module):
        self.gap, self.largest = math.inf, 0.0
        self.chosen = 2 if tiny.speaks_languages(model.config) else 1
        routers = [m for name, m in model.named_modules() if name.endswith("router.classifier")]
        self.hooks = [router.register_forward_hook(self.see) for router in routers]

    def see(self, _module, _inputs, logits: torch.Tensor) -> None:
        top = logits.topk(self.chosen + 1, dim=-1).values
        self.gap = min(self.gap, float((top[..., :-1] - top[..., 1:]).min()))
        self.largest = max(self.largest, float(logits.abs().max()))

    def __exit__(self, *_):
        for hook in self.hooks:
            hook.remove()

    def relative(self) -> float | None:
        """The smallest gap over the largest |router logit|; None where no layer is sparse."""
        return self.gap / self.largest if self.largest else None


class Sentence:
    """One source under a model: its encoding, and a step function for search.py. Logits may be shaken by noise."""

    def __init__(self, model, source: list[int]):
        self.model, self.source = model, source
        ids = torch.tensor([source])
        self.encoded = model.get_encoder()(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        self.largest, self.noise = 0.0, 0.0

    def logits(self, prefixes: list[list[int]]) -> torch.Tensor:
        """Decoder logits [len(prefixes), length, vocab] of prefixes of one length."""
        rows = len(prefixes)
        states = transformers.modeling_outputs.BaseModelOutput(last_hidden_state=self.encoded.expand(rows, -1, -1))
        mask = torch.ones(rows, len(self.source), dtype=torch.long)
        return self.model(
            encoder_outputs=(states.last_hidden_state,), attention_mask=mask,
            decoder_input_ids=torch.tensor(prefixes), use_cache=False, **quiet(self.model),
        ).logits

    def step(self, prefixes: list[list[int]]) -> torch.Tensor:
        """Logits [len(prefixes), vocab] of the next token."""
        last = self.logits(prefixes)[:, -1]
        self.largest = max(self.largest, float(last.abs().max()))
        return last + (torch.rand_like(last) * 2 - 1) * self.noise


def quiet(model) -> dict:
    """Switch Transformers cannot collect router logits from an encoding that was made before."""
    return {} if tiny.speaks_languages(model.config) else dict(output_router_logits=False)


def limits_of(model, target: int | None, **options) -> search.Limits:
    start, end = model.config.decoder_start_token_id, model.config.eos_token_id
    return search.Limits(start=start, end=end, forced=target, max_length=MAX_LENGTH, **options)


def beams_of(sentence: Sentence, target: int | None, options: dict) -> tuple[dict, float]:
    """One beam-4 golden and its gap. Beams that shaking the logits within tolerance changes have gap 0."""
    limits = limits_of(sentence.model, target, **options)
    best, gap = search.beam(sentence.step, limits)
    sentence.noise = TOLERANCE * sentence.largest
    for _ in range(3):
        if search.beam(sentence.step, limits)[0].tokens != best.tokens:
            gap = 0.0
    sentence.noise = 0.0
    golden = dict(length_penalty=limits.length_penalty, early_stopping=limits.early_stopping,
                  tokens=best.tokens, score=best.score)
    return golden, gap


def attempt(model, source: list[int], target: int | None, forced: list[int], alternative: dict | None) -> dict | None:
    """The golden of one sentence, or None where a decision is too close to hold an implementation to."""
    with Watch(model) as watch:
        sentence = Sentence(model, source)
        logits = sentence.logits([forced])[0]
        largest = float(logits.abs().max())
        floor = SAFETY * TOLERANCE

        def clear(gap: float) -> bool:
            router = watch.relative()
            return gap >= floor * max(largest, sentence.largest) and (router is None or router >= floor)

        if not clear(math.inf):
            return None
        tokens, greedy_gap = search.greedy(sentence.step, limits_of(model, target))
        if not clear(greedy_gap):
            return None
        beams, beam_gap = [], math.inf
        for options in filter(None, [{"length_penalty": 1.0}, alternative]):
            golden, gap = beams_of(sentence, target, options)
            beams, beam_gap = [*beams, golden], min(beam_gap, gap)
            if not clear(beam_gap):
                return None
    return dict(
        source=source, target=target, encoded=sentence.encoded[0], decoder_input=forced, logits=logits,
        greedy=tokens, beams=beams,
        gaps=dict(router=watch.relative(), greedy=greedy_gap, beam=beam_gap, largest=max(largest, sentence.largest)),
    )


@torch.no_grad()
def sentences(model, seed: int, alternative: dict | None, tries: int = 400) -> list[dict] | None:
    """One golden for each of LENGTHS, or None where some length found no clear sentence."""
    draw = random.Random(seed)
    torch.manual_seed(seed)
    config, found = model.config, []
    languages, end = tiny.language_ids(config), config.eos_token_id
    words = lambda count: [draw.choice(tiny.word_ids(config)) for _ in range(count)]
    for length in LENGTHS:
        for _ in range(tries):
            before, target = draw.sample(languages, 2) if languages else (None, None)
            source = [t for t in (before, *words(length), end) if t is not None]
            start = [t for t in (config.decoder_start_token_id, target) if t is not None]
            golden = attempt(model, source, target, [*start, *words(TARGETS)], alternative)
            if golden:
                found.append(golden)
                break
        else:
            return None
    return found


def ends(model, found: list[dict]) -> int:
    """How many of the searches ended by the end token rather than by the length limit."""
    return sum(tokens[-1] == model.config.eos_token_id for f in found for tokens in [f["greedy"], *(b["tokens"] for b in f["beams"])])


@torch.no_grad()
def confirm(model, found: list[dict]) -> dict:
    """Holds search.py and padding against transformers' own generate(); returns the differences seen."""
    pad, longest = model.config.pad_token_id, max(len(f["source"]) for f in found)
    ids = torch.tensor([f["source"] + [pad] * (longest - len(f["source"])) for f in found])
    mask = (ids != pad).long()
    padded = model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
    difference = max(float((padded[i, : len(f["source"])] - f["encoded"]).abs().max()) for i, f in enumerate(found))
    for f in found:
        alone = torch.tensor([f["source"]])
        options = dict(input_ids=alone, attention_mask=torch.ones_like(alone), forced_bos_token_id=f["target"],
                       max_length=MAX_LENGTH, do_sample=False, **quiet(model))
        assert model.generate(**options, num_beams=1)[0].tolist() == f["greedy"]
        for beam in f["beams"]:
            out = model.generate(
                **options, num_beams=4, length_penalty=beam["length_penalty"], early_stopping=beam["early_stopping"],
                return_dict_in_generate=True, output_scores=True,
            )
            assert out.sequences[0].tolist() == beam["tokens"]
            assert abs(float(out.sequences_scores[0]) - beam["score"]) < 1e-4
            beam["score"] = float(out.sequences_scores[0])
    for target in {f["target"] for f in found}:  # one padded batch a target language
        rows = [i for i, f in enumerate(found) if f["target"] == target]
        out = model.generate(input_ids=ids[rows], attention_mask=mask[rows], forced_bos_token_id=target,
                             max_length=MAX_LENGTH, do_sample=False, num_beams=1, **quiet(model)).tolist()
        for i, tokens in zip(rows, out, strict=True):
            assert tokens[: len(found[i]["greedy"])] == found[i]["greedy"]
    return {"padded_encoder_difference": difference}


def write(path: pathlib.Path, header: dict, found: list[dict]) -> None:
    """golden.json; only the first sentence carries its encoder output."""
    for index, golden in enumerate(found):
        encoded = golden.pop("encoded")
        if index == 0:
            golden["encoded"] = f32(encoded)
        golden["logits"] = f32(golden["logits"])
        if golden["target"] is None:
            del golden["target"]
    path.write_text(json.dumps({**header, "sentences": found}, indent=1) + "\n")
