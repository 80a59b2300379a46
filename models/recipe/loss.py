"""Linear + label-smoothed cross entropy over the vocabulary in chunks; never holds all logits.

With a teacher the wanted distribution is (1 - share) of the smoothed label's and `share` of the teacher's (Hinton et al.
2015, temperature 1).
"""
from typing import NamedTuple

import torch

from runtime import product_type


class Teacher(NamedTuple):
    """A second model's states x [n, D] for the same rows, its output table weight [V, D], and its share of the target."""

    x: torch.Tensor
    weight: torch.Tensor
    share: float


def chunk_rows(device: torch.device) -> int:
    """Rows whose logits are held at once: few on a CPU (caches), many on a GPU (launches)."""
    return 512 if device.type == "cpu" else 8192


class SmoothedCrossEntropy(torch.autograd.Function):
    """Gradients are made in the forward pass, one chunk of rows at a time (products as runtime.py says, float32 softmax)."""

    @staticmethod
    def forward(ctx, x, weight, label, smoothing, teacher=None):
        """x [n, D], weight [V, D], label [n] -> (loss to minimise, plain negative log likelihood), means over rows."""
        (n, D), V, size = x.shape, weight.shape[0], chunk_rows(x.device)
        full = -(-n // size) * size
        rows = x.new_zeros(full, D, dtype=product_type(x.device))
        rows[:n] = x
        table = weight.detach().to(rows.dtype)
        dx, dw = torch.empty_like(rows), None
        if ctx.needs_input_grad[1]:
            dw = torch.zeros_like(weight, dtype=torch.float32)
        logit, p = rows.new_empty(size, V), rows.new_empty(size, V, dtype=torch.float32)
        share = teacher.share if teacher else 0.0
        wanted = Probabilities(teacher, full, size) if teacher else None
        plain = smooth = taught = 0.0
        for i in range(0, full, size):
            m = min(size, n - i)
            torch.mm(rows[i:i + size], table.t(), out=logit)
            p.copy_(logit)
            p.sub_(p.amax(1, keepdim=True))
            right = p[:m].gather(1, label[i:i + m, None])
            mean = p[:m].mean(1)
            q = wanted.rows(i) if teacher else None
            inner = torch.linalg.vecdot(q[:m], p[:m]) if teacher else 0.0
            total = p.exp_().sum(1, keepdim=True)
            z = total[:m, 0].log()
            plain = plain + (z - right[:, 0]).sum()
            smooth = smooth + (z - mean).sum()
            taught = taught + (z - inner).sum() if teacher else 0.0
            p.div_(total).sub_((1 - share) * smoothing / V)
            p[:m].scatter_add_(1, label[i:i + m, None], p.new_full((m, 1), (1 - share) * (smoothing - 1)))
            if teacher:
                p.sub_(q, alpha=share)
            p[m:] = 0
            logit.copy_(p)
            torch.mm(logit, table, out=dx[i:i + size])
            if dw is not None:
                dw += torch.mm(logit.t(), rows[i:i + size])
        ctx.save_for_backward(dx[:n], dw)
        ctx.n, ctx.dtype = n, x.dtype
        labelled = (1 - smoothing) * plain + smoothing * smooth
        return ((1 - share) * labelled + share * taught) / n, plain / n

    @staticmethod
    def backward(ctx, grad, _):
        dx, dw = ctx.saved_tensors
        return dx.to(ctx.dtype) * (grad / ctx.n), None if dw is None else dw * (grad / ctx.n), None, None, None


class Probabilities:
    """A teacher's softmax, a chunk of `size` rows at a time, in buffers of its own."""

    def __init__(self, teacher: Teacher, full: int, size: int):
        n, D = teacher.x.shape
        self.x = teacher.x.new_zeros(full, D, dtype=product_type(teacher.x.device))
        self.x[:n] = teacher.x
        self.table, self.size = teacher.weight.to(self.x.dtype), size
        self.logit = self.x.new_empty(size, len(teacher.weight))
        self.p = self.logit.float()

    def rows(self, at: int) -> torch.Tensor:
        """[size, V] of the rows from `at` on; valid until the next call."""
        torch.mm(self.x[at:at + self.size], self.table.t(), out=self.logit)
        self.p.copy_(self.logit)
        return torch.softmax(self.p, 1, out=self.p)
