"""Finds prompts whose every decision is clear of the tolerance, and shows that every option changes the result."""

import contextlib
import math
import random

import torch
from transformers import GenerationConfig, PreTrainedModel

import decoder_models
from decoder_specs import FULL, SLIDING
from record import SAFETY, TOLERANCE

NEW_TOKENS = 24
DISTINCT = 10
# How far the logits must move, over the largest, where an option is changed.
MATTERS = 0.005


class Watch(contextlib.AbstractContextManager):
    """Over all routed tokens: the least gap between the last chosen and the first dropped expert's logit."""

    def __init__(self, model: PreTrainedModel):
        self.gap, self.largest = math.inf, 0.0
        self.chosen = model.config.num_experts_per_tok
        names = [name.removesuffix(".weight") for name, _ in model.named_parameters() if name.endswith(decoder_models.ROUTERS)]
        self.hooks = [model.get_submodule(name).register_forward_hook(self.see) for name in names]
        assert self.hooks or model.config.num_experts == 0, "no layer is sparse"

    def see(self, module, inputs, _output) -> None:
        # gpt-oss' router answers with shares; its logits are the same product.
        hidden = inputs[0].reshape(-1, module.weight.shape[1])
        logits = torch.nn.functional.linear(hidden, module.weight, module.bias)
        self.largest = max(self.largest, float(logits.abs().max()))
        if self.chosen < logits.shape[1]:
            top = logits.topk(self.chosen + 1, dim=-1).values
            self.gap = min(self.gap, float((top[:, -2] - top[:, -1]).min()))

    def __exit__(self, *_):
        for hook in self.hooks:
            hook.remove()

    def relative(self) -> float | None:
        """The gap over the largest |router logit|; None where every expert is chosen."""
        return self.gap / self.largest if math.isfinite(self.gap) else None

    def clear(self) -> bool:
        return (self.relative() or 1) >= SAFETY * TOLERANCE


def attempt(model: PreTrainedModel, prompt: list[int]) -> dict | None:
    """The golden of one prompt, or None where a decision is too close to hold an implementation to."""
    with Watch(model) as watch:
        out = model(torch.tensor([prompt]), use_cache=True)
        logits, greedy, gap = out.logits[0], [], math.inf
        largest = float(logits.abs().max())
        for _ in range(NEW_TOKENS):
            row = out.logits[0, -1]
            largest = max(largest, float(row.abs().max()))
            first, second = row.topk(2).values.tolist()
            gap = min(gap, first - second)
            if not watch.clear() or gap < SAFETY * TOLERANCE * largest:
                return None
            greedy.append(int(row.argmax()))
            if len(greedy) < NEW_TOKENS:
                out = model(torch.tensor([greedy[-1:]]), past_key_values=out.past_key_values, use_cache=True)
    if len(set(greedy)) < DISTINCT:
        return None
    gaps = dict(router=watch.relative(), greedy=gap, largest=largest)
    return dict(tokens=prompt, greedy=greedy, gaps=gaps, last=logits[-1], logits=logits)


@torch.no_grad()
def prompts(model: PreTrainedModel, lengths: list[int], seed: int, tries: int = 500) -> list[dict] | None:
    """One golden for each of the lengths, or None where some length found no clear prompt."""
    draw, found = random.Random(seed), []
    for length in sorted(lengths, reverse=True):
        drawn = ([draw.randrange(model.config.vocab_size) for _ in range(length)] for _ in range(tries))
        golden = next(filter(None, (attempt(model, prompt) for prompt in drawn)), None)
        if golden is None:
            return None
        found.insert(0, golden)
    return found


def generated(model: PreTrainedModel, prompt: list[int], **options) -> list[int]:
    """What generate() adds to a prompt, greedily."""
    ids = torch.tensor([prompt])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=NEW_TOKENS, **options)
    return out[0, len(prompt) :].tolist()


@torch.no_grad()
def confirm(model: PreTrainedModel, found: list[dict]) -> None:
    """Holds the tokens against generate(), and against one pass over everything without a cache."""
    for f in found:
        no_stops = GenerationConfig(do_sample=False, max_new_tokens=NEW_TOKENS, pad_token_id=0)
        assert generated(model, f["tokens"], generation_config=no_stops) == f["greedy"]
        whole = model(torch.tensor([f["tokens"] + f["greedy"]]), use_cache=False).logits[0]
        length = len(f["tokens"])
        assert whole[length - 1 : -1].argmax(-1).tolist() == f["greedy"]
        assert float((whole[:length] - f["logits"]).abs().max()) <= TOLERANCE / 10 * f["gaps"]["largest"]


def changes(config) -> dict[str, dict]:
    """Options of the configuration and another value of each, where the shapes stay the same."""
    get = lambda key: getattr(config, key, None)
    chosen, scaling = get("num_experts_per_tok"), get("rope_scaling")
    found = dict(rope_theta=config.rope_theta * 20, num_experts_per_tok=chosen - 1 if chosen > 1 else 2)
    if config.rms_norm_eps >= 1e-3:
        found["rms_norm_eps"] = 1e-6
    if get("clip_qkv") is not None:
        found["clip_qkv"] = None
    if get("sliding_window") is not None and SLIDING in (get("layer_types") or [SLIDING]):
        found["sliding_window"] = config.sliding_window + 1
    if get("norm_topk_prob") is not None:
        found["norm_topk_prob"] = not config.norm_topk_prob
    for key in ["embedding_multiplier", "residual_multiplier", "attention_multiplier", "logits_scaling"]:
        if get(key) is not None:
            found[key] = 1.0 if get(key) != 1.0 else 2.0
    if get("layer_types"):
        other = {SLIDING: FULL, FULL: SLIDING}
        found["layer_types"] = [other[kind] for kind in config.layer_types]
    if get("num_experts") == 0:
        found = {key: value for key, value in found.items() if key not in ("num_experts_per_tok", "norm_topk_prob")}
    found = {key: {key: value} for key, value in found.items()}
    if scaling:
        found["rope_scaling"] = {"rope_scaling": None}
    if scaling and scaling["rope_type"] == "yarn":
        found["truncate"] = {"rope_scaling": {**scaling, "truncate": not scaling.get("truncate", True)}}
        found["attention_factor"] = {"rope_scaling": {**scaling, "attention_factor": 1.0}}
        if "mscale" in scaling:
            found["mscale"] = {"rope_scaling": {**scaling, "mscale": None}}
    return found


def silenced(model: PreTrainedModel, ending: str, value: float) -> bool:
    """Sets every tensor whose name ends so to one value; false where there is none."""
    tensors = [weight for name, weight in model.named_parameters() if name.endswith(ending)]
    for weight in tensors:
        weight.fill_(value)
    return bool(tensors)


@torch.no_grad()
def matters(folder, found: list[dict], limit: bool) -> dict[str, float]:
    """How far the logits move, over the largest, under each change: an implementation without the option would fail."""
    prompt, logits = max(((f["tokens"], f["logits"]) for f in found), key=lambda pair: len(pair[0]))
    largest, seen = float(logits.abs().max()), {}

    def move(model: PreTrainedModel) -> float:
        other = model(torch.tensor([prompt]), use_cache=False).logits[0]
        return round(float((other - logits).abs().max()) / largest, 4)

    for key, change in changes(decoder_models.load(folder).config).items():
        seen[key] = move(decoder_models.load(folder, **change))
    for ending, value in {"bias": 0.0, "norm.weight": 1.0, "sinks": -1e9}.items():
        model = decoder_models.load(folder)
        if silenced(model, ending, value):
            seen[ending] = move(model)
    if limit:
        model = decoder_models.load(folder)
        for layer in model.model.layers:
            layer.mlp.experts.limit = 1e9
        seen["limit"] = move(model)
    return seen
