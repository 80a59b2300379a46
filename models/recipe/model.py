"""NLLB-MoE encoder-decoder and its dense twin, trainable on CPU and CUDA; parameter names as in transformers.

Shapes: B sentences (G translations each of B / G sources), S source and T target positions, D d_model, E experts, F inner
width, V vocabulary.
"""
import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn as nn
import torch.nn.functional as F

from loss import SmoothedCrossEntropy, Teacher
from moe import FeedForward, SparseMLP
from runtime import product_type


@dataclass
class Config:
    """The fields of config.json that shape the network, and the training coefficients."""

    vocab_size: int = 12000
    d_model: int = 256
    encoder_layers: int = 6
    decoder_layers: int = 4
    encoder_attention_heads: int = 4
    decoder_attention_heads: int = 4
    encoder_ffn_dim: int = 1024
    decoder_ffn_dim: int = 1024
    num_experts: int = 16
    encoder_sparse_step: int = 2
    decoder_sparse_step: int = 2
    max_position_embeddings: int = 512
    pad_token_id: int = 1
    eos_token_id: int = 2
    decoder_start_token_id: int = 2
    label_smoothing: float = 0.1
    balance_coef: float = 0.01
    z_coef: float = 0.001
    dropout: float = 0.0
    """Of embeddings and of what each block adds to the residual stream."""

    TRAINING: ClassVar = ("label_smoothing", "balance_coef", "z_coef", "dropout")
    """Fields that config.json does not have under these names."""

    def dense_twin(self) -> "Config":
        """No experts and the same active parameters: a sparse layer runs two inner widths, a dense one runs one."""
        widen = lambda inner, layers, step: inner + (inner * (layers // step) // layers if step else 0)
        return replace(
            self,
            encoder_ffn_dim=widen(self.encoder_ffn_dim, self.encoder_layers, self.encoder_sparse_step),
            decoder_ffn_dim=widen(self.decoder_ffn_dim, self.decoder_layers, self.decoder_sparse_step),
            encoder_sparse_step=0,
            decoder_sparse_step=0,
        )


def sinusoids(count: int, width: int, pad: int) -> torch.Tensor:
    """[count, width]: sines, then cosines, of position * 10000^(-k / (width / 2 - 1)); the pad row is 0."""
    half = width // 2
    rate = torch.exp(torch.arange(half).float() * -(math.log(10000) / (half - 1)))
    angle = torch.arange(count).float()[:, None] * rate[None]
    table = torch.cat([angle.sin(), angle.cos()], 1)
    table[pad] = 0
    return table


class Attention(nn.Module):
    """Multi-head attention as two batched products (at these lengths faster on a CPU than the fused kernel)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x, source, mask):
        """x [B, T, D] attends to source [B, S, D]; mask is added to the scores [B, heads, T, S]."""
        return self.attend(self.queries(x), *self.keys_values(source), mask)

    def split(self, x):
        """[B, T, D] -> [B, heads, T, D / heads]."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def queries(self, x):
        """x [B, T, D] -> [B, heads, T, D / heads], scaled."""
        return self.split(self.q_proj(x)) * (x.shape[-1] // self.heads) ** -0.5

    def keys_values(self, source):
        """source [B, S, D] -> keys, values [B, heads, S, D / heads]."""
        return self.split(self.k_proj(source)), self.split(self.v_proj(source))

    def attend(self, q, k, v, mask):
        """Queries [B, heads, T, D / heads] over keys and values [B, heads, S, D / heads] -> [B, T, D]."""
        score = torch.matmul(q, k.transpose(-1, -2)) + mask.to(q.dtype)
        mixed = torch.matmul(score.softmax(-1, dtype=score.dtype), v)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """A pre-norm layer; `cross` adds attention to the encoder's output, `experts` > 0 makes it sparse."""

    def __init__(self, width: int, heads: int, inner: int, experts: int, cross: bool, dropout: float):
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.self_attn = Attention(width, heads)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        if cross:
            self.cross_attention = Attention(width, heads)
            self.cross_attention_layer_norm = nn.LayerNorm(width)
        self.ffn = SparseMLP(width, inner, experts) if experts else FeedForward(width, inner)
        self.ff_layer_norm = nn.LayerNorm(width)
        self.cross, self.sparse = cross, experts > 0

    def forward(self, x, mask, live, memory=None, memory_mask=None):
        """x [B, T, D], live [B, T] (not padding) -> [B, T, D]; memory [B, S, D], or [B / G, S, D] where G rows share one."""
        h = self.self_attn_layer_norm(x).to(compute_dtype(x))
        x = x + self.drop(self.self_attn(h, h, mask))
        if self.cross:
            h = self.cross_attention_layer_norm(x).to(compute_dtype(x))
            h = h.view(len(memory), -1, h.shape[-1])
            x = x + self.drop(self.cross_attention(h, memory, memory_mask).view(x.shape))
        h = self.ff_layer_norm(x).to(compute_dtype(x))
        return x + self.drop(self.ffn(h, live) if self.sparse else self.ffn(h))


def compute_dtype(x: torch.Tensor) -> torch.dtype:
    """bf16 under autocast (one cast a layer instead of one a projection), else x's own type."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


class Stack(nn.Module):
    """The layers of one side and their final norm; every `step`-th layer is sparse (0: none)."""

    def __init__(self, c: Config, side: str):
        super().__init__()
        read = lambda name: getattr(c, f"{side}_{name}")
        heads, inner, step = read("attention_heads"), read("ffn_dim"), read("sparse_step")
        experts = lambda i: c.num_experts if step > 0 and (i + 1) % step == 0 else 0
        cross = side == "decoder"
        layer = lambda i: Layer(c.d_model, heads, inner, experts(i), cross, c.dropout)
        self.layers = nn.ModuleList(layer(i) for i in range(read("layers")))
        self.layer_norm = nn.LayerNorm(c.d_model)


class Translator(nn.Module):
    """The whole network; embeddings of encoder, decoder and output are one matrix, `shared`."""

    def __init__(self, c: Config):
        super().__init__()
        self.config = c
        self.drop = nn.Dropout(c.dropout)
        self.shared = nn.Embedding(c.vocab_size, c.d_model, c.pad_token_id)
        self.encoder = Stack(c, "encoder")
        self.decoder = Stack(c, "decoder")
        table = sinusoids(c.max_position_embeddings + 2, c.d_model, c.pad_token_id)
        self.register_buffer("positions", table, persistent=False)
        self.initialize()

    @torch.no_grad()
    def initialize(self):
        """Xavier matrices, halved where they write to the residual stream; a near-flat router."""
        for name, p in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(p)
            elif "classifier" in name:
                nn.init.normal_(p, std=0.02)
            elif p.dim() == 2:
                nn.init.xavier_uniform_(p)
            if name.endswith(("out_proj.weight", "fc2.weight")):
                p.mul_(0.5)
        nn.init.normal_(self.shared.weight, std=self.config.d_model ** -0.5)
        self.shared.weight[self.config.pad_token_id] = 0

    def embed(self, ids):
        """ids [B, T] -> (vectors [B, T, D], live [B, T]); the first real token has position pad + 1."""
        pad = self.config.pad_token_id
        live = ids.ne(pad)
        where = live.long().cumsum(1) * live + pad
        scale = math.sqrt(self.config.d_model)
        return self.drop(F.embedding(ids, self.shared.weight) * scale + self.positions[where]), live

    def encode(self, source):
        """source ids [B, S] -> (memory [B, S, D], mask [B, 1, 1, S])."""
        x, live = self.embed(source)
        mask = (~live)[:, None, None, :] * -1e4
        for layer in self.encoder.layers:
            x = layer(x, mask, live)
        return self.encoder.layer_norm(x).to(compute_dtype(x)), mask

    def decode(self, memory, memory_mask, target):
        """target ids [B, T] -> states [B, T, D]; memory of B sources, or of B / G that G neighbouring targets share."""
        x, live = self.embed(target)
        T = target.shape[1]
        causal = torch.full((T, T), -1e4, device=x.device).triu(1)
        for layer in self.decoder.layers:
            x = layer(x, causal, live, memory, memory_mask)
        return self.decoder.layer_norm(x)

    def sparse_layers(self):
        """(name, SparseMLP) of every sparse layer, encoder first."""
        return [(n, m) for n, m in self.named_modules() if isinstance(m, SparseMLP)]

    def rows(self, source, target, live):
        """Ids [B or B / G, S], [B, T], flat positions [n] -> the decoder's states there [n, D]; products as runtime.py says."""
        kind = product_type(source.device)
        with torch.autocast(source.device.type, dtype=kind, enabled=kind != torch.float32):
            states = self.decode(*self.encode(source), target)
        return states.reshape(-1, self.config.d_model).index_select(0, live)

    def loss(self, source, target, labels, teacher=None, share=0.0):
        """Ids [B or B / G, S], [B, T], [B, T] -> (loss to minimise, plain nats a token, expert balance (1 is even), tokens).

        `teacher`, another Translator, gives `share` of the wanted distribution.
        """
        c = self.config
        live = labels.ne(c.pad_token_id).reshape(-1).nonzero().squeeze(1)
        taught = None
        if teacher:
            with torch.no_grad():
                taught = Teacher(teacher.rows(source, target, live), teacher.shared.weight, share)
        sparse = [m for _, m in self.sparse_layers()]
        rows, wanted = self.rows(source, target, live), labels.reshape(-1)[live]
        loss, nll = SmoothedCrossEntropy.apply(rows, self.shared.weight, wanted, c.label_smoothing, taught)
        mean = lambda values: sum(values) / max(1, len(sparse))
        balance = mean(m.balance for m in sparse)
        scores = c.z_coef * mean(m.z for m in sparse)
        return loss + c.balance_coef * balance + scores, nll, balance, live.numel()
