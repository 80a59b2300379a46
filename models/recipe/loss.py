"""Linear + label-smoothed cross entropy over the vocabulary in chunks; never holds all logits."""
import torch


def chunk_rows(device: torch.device) -> int:
    """Rows whose logits are held at once: few on a CPU (caches), many on a GPU (launches)."""
    return 512 if device.type == "cpu" else 8192


class SmoothedCrossEntropy(torch.autograd.Function):
    """Gradients are made in the forward pass, one chunk of rows at a time (bf16 products, float32 softmax)."""

    @staticmethod
    def forward(ctx, x, weight, label, smoothing):
        """x [n, D], weight [V, D], label [n] -> (smoothed loss, plain negative log likelihood), means over rows."""
        (n, D), V, size = x.shape, weight.shape[0], chunk_rows(x.device)
        full = -(-n // size) * size
        rows = x.new_zeros(full, D, dtype=torch.bfloat16)
        rows[:n] = x
        table = weight.detach().bfloat16()
        dx, dw = torch.empty_like(rows), torch.zeros_like(weight, dtype=torch.float32)
        logit, p = rows.new_empty(size, V), rows.new_empty(size, V, dtype=torch.float32)
        plain = smooth = 0.0
        for i in range(0, full, size):
            m = min(size, n - i)
            torch.mm(rows[i:i + size], table.t(), out=logit)
            p.copy_(logit)
            p.sub_(p.amax(1, keepdim=True))
            right = p[:m].gather(1, label[i:i + m, None])
            mean = p[:m].mean(1)
            total = p.exp_().sum(1, keepdim=True)
            z = total[:m, 0].log()
            plain = plain + (z - right[:, 0]).sum()
            smooth = smooth + (z - mean).sum()
            p.div_(total).sub_(smoothing / V)
            p[:m].scatter_add_(1, label[i:i + m, None], p.new_full((m, 1), smoothing - 1))
            p[m:] = 0
            logit.copy_(p)
            torch.mm(logit, table, out=dx[i:i + size])
            dw += torch.mm(logit.t(), rows[i:i + size])
        ctx.save_for_backward(dx[:n], dw)
        ctx.n, ctx.dtype = n, x.dtype
        return ((1 - smoothing) * plain + smoothing * smooth) / n, plain / n

    @staticmethod
    def backward(ctx, grad, _):
        dx, dw = ctx.saved_tensors
        return dx.to(ctx.dtype) * (grad / ctx.n), dw * (grad / ctx.n), None, None
