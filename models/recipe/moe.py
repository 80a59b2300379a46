"""The feed-forward blocks: dense, and a top-2 mixture of experts with a float32 router."""
import torch
import torch.nn as nn
import torch.nn.functional as F

GROUP = 64
"""An expert's rows are padded to a multiple of this: on a CPU every new shape of a bf16 product compiles a kernel
(about 1 ms, more than the product itself), so shapes must recur."""


class FeedForward(nn.Module):
    """fc2(relu(fc1(x))) over [..., D]."""

    def __init__(self, width: int, inner: int):
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x)))


class Router(nn.Module):
    """Holds the classifier [E, D]; the softmax is SparseMLP's."""

    def __init__(self, width: int, experts: int):
        super().__init__()
        self.classifier = nn.Linear(width, experts, bias=False)


class SparseMLP(nn.Module):
    """Every token through its two best experts, weights p1 / (p1 + p2) and p2 / (p1 + p2); none is dropped."""

    def __init__(self, width: int, inner: int, experts: int):
        super().__init__()
        self.router = Router(width, experts)
        self.experts = nn.ModuleDict({f"expert_{i}": FeedForward(width, inner) for i in range(experts)})
        self.balance = self.z = self.chosen = None

    def route(self, rows):
        """rows [n, D] -> (choice [n, 2], weight [n, 2]); leaves balance, z and choice for loss and statistics."""
        with torch.autocast(rows.device.type, enabled=False):
            logits = F.linear(rows.float(), self.router.classifier.weight)
            probability = logits.softmax(-1)
            top, choice = probability.topk(2, dim=-1)
            share = F.one_hot(choice, logits.shape[1]).float().mean((0, 1))
            self.balance = logits.shape[1] * (share * probability.mean(0)).sum()
            self.z = (logits.logsumexp(-1) ** 2).mean()
            self.chosen = choice.detach()
            return choice, top / top.sum(-1, keepdim=True).clamp_min(1e-9)

    def forward(self, x, live):
        """x [B, T, D], live [B, T] -> [B, T, D]; padding gets zeros."""
        flat = x.reshape(-1, x.shape[-1])
        kept = live.reshape(-1).nonzero().squeeze(1)
        rows = flat.index_select(0, kept)
        choice, weight = self.route(rows)
        slot, sizes = slots(choice, len(self.experts))
        n, D = rows.shape
        twice = rows.unsqueeze(1).expand(n, 2, D).reshape(-1, D)
        batch = rows.new_zeros(sum(sizes), D).index_copy(0, slot.reshape(-1), twice)
        out = torch.cat([e(part) for e, part in zip(self.experts.values(), batch.split(sizes)) if part.shape[0]])
        out = out.index_select(0, slot.reshape(-1)).view(n, 2, D) * weight.unsqueeze(-1).to(out.dtype)
        return torch.zeros_like(flat).index_copy(0, kept, out.sum(1).to(flat.dtype)).view(x.shape)


def slots(choice: torch.Tensor, experts: int):
    """choice [n, 2] -> (slot [n, 2] in the padded expert-major batch, padded rows of each expert)."""
    flat = choice.reshape(-1)
    order = flat.argsort(stable=True)
    count = torch.bincount(flat, minlength=experts)
    padded = (count + GROUP - 1) // GROUP * GROUP
    shift = (padded.cumsum(0) - padded) - (count.cumsum(0) - count)
    place = torch.arange(flat.numel(), device=flat.device) + shift[flat[order]]
    return torch.empty_like(place).index_copy(0, order, place).view(choice.shape), padded.tolist()
