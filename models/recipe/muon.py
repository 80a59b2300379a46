"""Muon for the hidden matrices: momentum, orthogonalised by Newton-Schulz; AdamW is used for everything else.

K. Jordan et al. 2024. The step's size is matched to AdamW's, 0.2 sqrt(max(rows, columns)) (Moonshot AI 2025), so one
learning rate serves both.
"""
import torch

from runtime import product_type

QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalise(m: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """m [r, c] -> about U V^T (singular values 0.7 to 1.2), in the type of the device's products."""
    a, b, c = QUINTIC
    tall = m.shape[0] > m.shape[1]
    x = m.to(product_type(m.device))
    x = x.t().contiguous() if tall else x
    x = x / (torch.linalg.vector_norm(m) + 1e-7).to(x.dtype)
    for _ in range(steps):
        s = x @ x.t()
        x = torch.addmm(x, torch.addmm(s, s, s, beta=b, alpha=c), x, beta=a)
    return x.t() if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, float32; one matrix at a time (one shape's products share a compiled kernel)."""

    def __init__(self, matrices, lr: float, momentum: float = 0.95, weight_decay: float = 0.01):
        super().__init__(list(matrices), dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            lr, beta = group["lr"], group["momentum"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                m = state["momentum"].mul_(beta).add_(p.grad)
                update = orthogonalise(p.grad.add(m, alpha=beta))
                size = 0.2 * max(p.shape) ** 0.5
                p.mul_(1 - lr * group["weight_decay"]).add_(update, alpha=-lr * size)
