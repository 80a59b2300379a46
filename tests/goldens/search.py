"""Greedy and beam search written plainly, with the smallest gap of every decision they take.

The tokens are transformers' own (record.py asserts it); what is added is how close each decision was, so that a
golden is only kept when an implementation within tolerance must take the same one. The rules are told in README.md.
"""

import dataclasses
import math
from collections.abc import Callable

import torch

# step(prefixes) -> logits [len(prefixes), vocab] of the next token; all prefixes have the same length.
Step = Callable[[list[list[int]]], torch.Tensor]


@dataclasses.dataclass
class Limits:
    """What a search is asked for. `max_length` counts the start token, as in transformers."""

    start: int
    end: int
    forced: int | None
    max_length: int
    num_beams: int = 4
    length_penalty: float = 1.0
    early_stopping: bool = False


def greedy(step: Step, limits: Limits) -> tuple[list[int], float]:
    """Returns the tokens (start token included) and the smallest top-1 to top-2 logit gap of the free steps."""
    tokens, gap = [t for t in (limits.start, limits.forced) if t is not None], math.inf
    while len(tokens) < limits.max_length and tokens[-1] != limits.end:
        top = step([tokens])[0].topk(2)
        gap = min(gap, float(top.values[0] - top.values[1]))
        tokens.append(int(top.indices[0]))
    return tokens, gap


@dataclasses.dataclass
class Hypothesis:
    """A finished sentence: `score` is its sum of log-probabilities over its generated length ** length_penalty."""

    score: float
    tokens: list[int]


def expand(step: Step, running: list[Hypothesis], limits: Limits) -> list[Hypothesis]:
    """All continuations worth looking at, best first: sums of log-probabilities, not yet divided by length."""
    if len(running[0].tokens) == 1 and limits.forced is not None:  # the forced token costs nothing
        return [Hypothesis(beam.score, [*beam.tokens, limits.forced]) for beam in running]
    scores = step([beam.tokens for beam in running]).log_softmax(-1)
    scores = scores + torch.tensor([beam.score for beam in running])[:, None]
    # Twice the beams are candidates; four more are looked at for their gaps, and every end token.
    top = scores.flatten().topk(min(2 * limits.num_beams + 4, scores.numel()))
    vocab = scores.shape[1]
    return [
        Hypothesis(value, [*running[index // vocab].tokens, index % vocab])
        for value, index in zip(top.values.tolist(), top.indices.tolist(), strict=True)
    ]


def step_gap(candidates: list[Hypothesis], limits: Limits) -> float:
    """The smallest distance of this step to another choice: who runs on, and which end token counts."""
    beams, gap = limits.num_beams, math.inf
    if len(candidates) <= beams:
        return gap
    free = [c.score for c in candidates if c.tokens[-1] != limits.end]
    gap = min(gap, free[beams - 1] - free[beams])
    for rank, candidate in enumerate(candidates):
        if candidate.tokens[-1] == limits.end:
            edge = candidates[beams] if rank < beams else candidates[beams - 1]
            gap = min(gap, abs(candidate.score - edge.score))
    return gap


def beam(step: Step, limits: Limits) -> tuple[Hypothesis, float]:
    """Returns the best hypothesis and the smallest gap of any decision, in units of summed log-probability."""
    beams, gap = limits.num_beams, math.inf
    running, finished = [Hypothesis(0.0, [limits.start])], []
    while True:
        candidates = expand(step, running, limits)
        length = len(candidates[0].tokens) - 1
        divisor = length**limits.length_penalty
        last = length + 1 >= limits.max_length
        if not last:
            gap = min(gap, step_gap(candidates, limits))
        candidates = candidates[: 2 * beams]
        # An end token below rank `beams` is dropped: neither finished nor continued.
        ended = [c for c in candidates[:beams] if last or c.tokens[-1] == limits.end]
        finished += [Hypothesis(c.score / divisor, c.tokens) for c in ended]
        finished.sort(key=lambda h: -h.score)
        if len(finished) > beams:
            gap = min(gap, (finished[beams - 1].score - finished[beams].score) * divisor)
        finished = finished[:beams]
        running = [c for c in candidates if c.tokens[-1] != limits.end][:beams]
        if last:
            break
        if len(finished) == beams:
            if limits.early_stopping:
                break
            hope = running[0].score / divisor - finished[-1].score
            gap = min(gap, abs(hope) * divisor)
            if hope <= 0:
                break
    if len(finished) > 1:
        best, second = finished[:2]
        shorter = min(len(best.tokens), len(second.tokens)) - 1
        gap = min(gap, (best.score - second.score) * shorter**limits.length_penalty)
    return finished[0], gap
