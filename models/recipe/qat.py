"""Quantization-aware training of the experts: four levels of a scale for each 64 weights, gradients straight through.

A GridLinear keeps float32 weights that the optimizer moves and computes with their quantized values, scale * q with q in
{-1.5, -0.5, 0.5, 1.5}; scales are f16 numbers. What is exported are the quantized values themselves (float32, exact), in
which `moqe pack` finds these very scales and codes again: the packed model is what training simulated, bit for bit.
"""
import re

import torch
import torch.nn as nn
import torch.nn.functional as F

GROUP = 64
"""Weights along the input that share a scale, as in `moqe pack`."""
TRELLIS = (63, 44, 32, 27, 18, 16, 6, 3)
"""Magnitudes of the levels of `moqe pack --quantizer trellis` (src/base/trellis.ts): which of them a weight has is a matter
of its code and of those above it, which training leaves alone."""


def grouped(weight: torch.Tensor) -> torch.Tensor:
    """[N, K] -> [N, groups, 64], the last group padded with zeros."""
    return F.pad(weight, (0, -weight.shape[1] % GROUP)).unflatten(1, (-1, GROUP))


def best_scales(weight: torch.Tensor) -> torch.Tensor:
    """The scale of least squared error of each group [N, groups, 1], f16 numbers in float32.

    Whatever the weights are, the best codes give 1.5 to the k largest magnitudes of a group and 0.5 to the rest, for
    some k; A = sum |w| q and B = sum q^2 give the scale A / B and take A^2 / B off the error.
    """
    rows, cols = weight.shape
    found = []
    for at in range(0, cols, GROUP):
        size = weight[:, at:at + GROUP].double().abs().sort(1, descending=True).values
        n = size.shape[1]
        dot = 0.5 * size.sum(1, keepdim=True) + F.pad(size.cumsum(1), (1, 0))
        norm = 0.25 * n + 2.0 * torch.arange(n + 1, dtype=torch.float64, device=weight.device)
        best = (dot * dot / norm).argmax(1, keepdim=True)
        found.append((dot / norm).gather(1, best))
    return torch.stack(found, 1).half().float().view(rows, -1, 1)


def quantized(weight: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """weight [N, K] on the grid of scales [N, groups, 1] -> [N, K]; a group whose scale is 0 becomes 0."""
    return (levels(weight, scales) * scales).flatten(1)[:, :weight.shape[1]]


def levels(weight: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """The nearest of -1.5, -0.5, 0.5, 1.5 to weight / scale [N, groups, 64]."""
    safe = scales.masked_fill(scales == 0, 1)
    return (grouped(weight) / safe).floor_().clamp_(-2, 1).add_(0.5)


def trellis_parts(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
    """(scales [N, groups, 1], levels [N, groups, 64]) of weights [N, K] that a trellis has written; None of others. A group of
    zeros has a scale of 0, and no levels."""
    w = grouped(weight)
    known = torch.zeros(TRELLIS[0] + 1, dtype=torch.bool, device=weight.device)
    known[list(TRELLIS)] = True
    inside = grouped(torch.ones_like(weight)).bool()
    scales, levels = torch.zeros_like(w[..., :1]), torch.zeros_like(w)
    for level in TRELLIS:
        scale = w.abs().amax(2, keepdim=True) / level
        found = (w / scale).round()
        exact = (found * scale == w) & (known[found.abs().clamp(0, TRELLIS[0]).nan_to_num().long()] | ~inside)
        good = exact.all(2, keepdim=True) & (scale.half().float() == scale) & (scale > 0) & (scales == 0)
        scales, levels = torch.where(good, scale, scales), torch.where(good, found, levels)
    unread = (scales == 0) & w.ne(0).any(2, keepdim=True)
    return None if unread.any() or not levels.any() else (scales, levels)


class StraightThrough(torch.autograd.Function):
    """Forward: quantized weights. Backward: as if they had not been."""

    @staticmethod
    def forward(ctx, weight, scales, dtype):
        """weight [N, K] -> quantized [N, K] in `dtype`."""
        return quantized(weight, scales).to(dtype)

    @staticmethod
    def backward(ctx, grad):
        return grad.float(), None, None


class GridLinear(nn.Linear):
    """A linear layer that computes with its weights on the grid. `scales` [N, groups, 1] are not trained by gradient."""

    @staticmethod
    def of(linear: nn.Linear) -> "GridLinear":
        """Takes the parameters of `linear` over and finds its scales."""
        made = GridLinear(linear.in_features, linear.out_features, device="meta")
        made.weight, made.bias = linear.weight, linear.bias
        made.register_buffer("scales", best_scales(linear.weight.detach()), persistent=False)
        return made

    def forward(self, x):
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else self.weight.dtype
        return F.linear(x, StraightThrough.apply(self.weight, self.scales, dtype), self.bias)

    @torch.no_grad()
    def refit(self):
        """One round of least squares: the best scales for the codes that the present ones give."""
        q = levels(self.weight, self.scales)
        # Padding has weight 0 and so adds nothing to the product; its codes must not count either.
        q.flatten(1)[:, self.in_features:] = 0
        dot, norm = (grouped(self.weight) * q).sum(2, keepdim=True), (q * q).sum(2, keepdim=True)
        self.scales.copy_((dot / norm.clamp_min(0.25)).clamp_min(0).half())

    @torch.no_grad()
    def exact(self) -> torch.Tensor:
        """What the forward pass computes with, in float32 [N, K]."""
        return quantized(self.weight, self.scales)


class ScaleLinear(nn.Module):
    """A linear layer with codes that stay as they are, of four levels or of a trellis, and scales that are trained, as shares
    of what they began as."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.in_features, weight = linear.in_features, linear.weight.detach()
        self.bias = linear.bias
        written = trellis_parts(weight)
        self.register_buffer("base", best_scales(weight) if written is None else written[0])
        codes = levels(weight, self.base) if written is None else written[1]
        codes.flatten(1)[:, self.in_features:] = 0
        self.register_buffer("codes", codes.bfloat16())
        self.gain = nn.Parameter(torch.zeros_like(self.base))

    def forward(self, x):
        weight = (self.codes * (self.base * (1 + self.gain)).to(x.dtype)).flatten(1)[:, :self.in_features]
        return F.linear(x, weight, self.bias)

    @torch.no_grad()
    def exact(self) -> torch.Tensor:
        """float32 [N, K] with f16 scales."""
        return (self.codes.float() * (self.base * (1 + self.gain)).half().float()).flatten(1)[:, :self.in_features]


def as_written(linear: nn.Linear) -> "GridLinear | ScaleLinear":
    """What computes with weights that are on one of the two grids already, exactly as they are."""
    return GridLinear.of(linear) if trellis_parts(linear.weight.detach()) is None else ScaleLinear(linear)


def attach(model: nn.Module, make=GridLinear.of, wide: str | None = None) -> list:
    """Puts every expert's matrices that are trained on the grid, in place; make(linear) gives what takes a layer's place. Experts
    with the regular expression `wide` in their names stay as they are: they are packed with more bits."""
    made = []
    for name, sparse in [(n, m) for n, m in model.named_modules() if hasattr(m, "experts")]:
        for key, expert in sparse.experts.items():
            if not expert.fc1.weight.requires_grad or wide and re.search(wide, f"{name}.experts.{key}."):
                continue
            expert.fc1, expert.fc2 = make(expert.fc1), make(expert.fc2)
            made += [expert.fc1, expert.fc2]
    return made


def exact_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Parameter name -> quantized float32 weights, for the modules that are on the grid."""
    return {f"{n}.weight": m.exact() for n, m in model.named_modules() if isinstance(m, (GridLinear, ScaleLinear))}


def plain(model: nn.Module, exact: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state dictionary with the names of a model that is not quantized; `exact`: its exact_weights()."""
    scaled = [n for n, m in model.named_modules() if isinstance(m, ScaleLinear)]
    own = {f"{n}.{part}" for n in scaled for part in ("codes", "base", "gain")}
    return {**{k: v for k, v in model.state_dict().items() if k not in own}, **exact}
