"""The layers that tokenizer and model share. Shapes: B rows, T positions, D width, h heads, d = D / h.

Attributes are named after the tensors of the public checkpoints. No layer keeps state between calls, so threads
can share a module.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

RMS_NORM_EPS = 1e-5
ROTARY_BASE = 10_000.0


class RMSNorm(nn.Module):
    """Root mean square normalisation over the last dimension, computed in float32 (arXiv 1910.07467)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` [..., D]; same shape and dtype."""
        wide = x.float()
        mean_square = wide.square().mean(dim=-1, keepdim=True)
        return (wide * torch.rsqrt(mean_square + RMS_NORM_EPS)).type_as(x) * self.weight


class SwiGLU(nn.Module):
    """Gated feed-forward layer without biases: ``w2(silu(w1 x) * w3 x)`` (arXiv 2002.05202)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(width, hidden, bias=False)
        self.w3 = nn.Linear(width, hidden, bias=False)
        self.w2 = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Transform ``x`` [..., D]; same shape."""
        out: Tensor = self.w2(functional.silu(self.w1(x)) * self.w3(x))
        return out


class Rotary(nn.Module):
    """Frequencies of a rotary position embedding over a whole head (arXiv 2104.09864).

    ``inv_freq`` [d / 2] comes from the checkpoint and is used as stored; d must be even. The tables are computed in
    every call, because a table kept on the module would be a race between threads.
    """

    inv_freq: Tensor

    def __init__(self, head_width: int) -> None:
        super().__init__()
        # Computed in Python: on the "meta" device, where the loader builds the model, tensor arithmetic would
        # import PyTorch's compiler, which takes seconds.
        frequencies = [ROTARY_BASE ** (-pair / head_width) for pair in range(0, head_width, 2)]
        self.register_buffer("inv_freq", torch.tensor(frequencies))

    def tables(self, length: int) -> tuple[Tensor, Tensor]:
        """Cosine and sine [length, d] for the positions from 0."""
        positions = torch.arange(length, device=self.inv_freq.device, dtype=self.inv_freq.dtype)
        angles = torch.outer(positions, self.inv_freq).repeat(1, 2)
        return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate ``x`` [B, h, T, d] by the angles of its positions; element i is paired with element i + d / 2."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B, T, D] to [B, h, T, d]."""
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """[B, h, T, d] to [B, T, D]."""
    return x.transpose(1, 2).flatten(-2)


class Attention(nn.Module):
    """The projections of multi-head attention, all with biases, and the rotary frequencies."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        self.rotary = Rotary(width // heads)


class CausalSelfAttention(Attention):
    """Multi-head self-attention in which a position sees itself and those before it."""

    def forward(self, x: Tensor) -> Tensor:
        """Attend within ``x`` [B, T, D]; same shape."""
        q, k, v = (split_heads(project(x), self.heads) for project in (self.q_proj, self.k_proj, self.v_proj))
        cos, sin = self.rotary.tables(x.shape[1])
        attended = functional.scaled_dot_product_attention(
            rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True
        )
        out: Tensor = self.out_proj(merge_heads(attended))
        return out


class TransformerBlock(nn.Module):
    """Pre-norm block: self-attention, then feed-forward, each added to its input."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = RMSNorm(width)
        self.self_attn = CausalSelfAttention(width, heads)
        self.norm2 = RMSNorm(width)
        self.ffn = SwiGLU(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Transform ``x`` [B, T, D]; same shape."""
        x = x + self.self_attn(self.norm1(x))
        out: Tensor = x + self.ffn(self.norm2(x))
        return out
