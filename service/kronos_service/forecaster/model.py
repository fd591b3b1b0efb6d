"""The forecasting model: a causal transformer over candle tokens (Kronos, arXiv 2508.02739, section 3).

A candle is predicted in two halves: first the coarse token s1 from the history, then the fine token s2
from the history and the s1 that was sampled. Shapes: B rows, T positions, D = d_model.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import S2_ATTENTION_HEADS, ModelConfig
from .layers import Attention, RMSNorm, TransformerBlock, merge_heads, split_heads

STAMP_FIELDS = (("minute", 60), ("hour", 24), ("weekday", 7), ("day", 32), ("month", 13))
"""Calendar features of a candle, in the order of a stamp, and how many values the model embeds for each."""


class Kronos(nn.Module):
    """The transformer and its two heads. Inference only; holds no state between calls."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = _TokenEmbedding(config)
        self.time_emb = _StampEmbedding(config.d_model)
        self.transformer = nn.ModuleList(
            TransformerBlock(config.d_model, config.n_heads, config.ff_dim) for _ in range(config.n_layers)
        )
        self.norm = RMSNorm(config.d_model)
        self.dep_layer = _DependencyLayer(config.d_model)
        self.head = _Heads(config)

    def hidden(self, s1: Tensor, s2: Tensor, stamps: Tensor) -> Tensor:
        """Normed hidden states of a window whose first candle is position 0.

        Args:
            s1: [B, T] int64.
            s2: [B, T] int64.
            stamps: [B, T, 5] int64, in the order of ``STAMP_FIELDS``.

        Returns:
            [B, T, D]; each position depends on itself and those before it.
        """
        x: Tensor = self.embedding(s1, s2) + self.time_emb(stamps)
        for block in self.transformer:
            x = block(x)
        out: Tensor = self.norm(x)
        return out

    def s1_logits(self, last: Tensor) -> Tensor:
        """Logits [B, 2^s1_bits] of the next s1, from the ``last`` hidden state [B, D]."""
        out: Tensor = self.head.proj_s1(last)
        return out

    def s2_logits(self, hidden: Tensor, s1: Tensor) -> Tensor:
        """Logits [B, 2^s2_bits] of the next s2, from ``hidden`` states [B, T, D] and the drawn ``s1`` [B]."""
        sibling = self.embedding.emb_s1(s1).unsqueeze(1)
        out: Tensor = self.head.proj_s2(self.dep_layer(hidden, sibling))
        return out.squeeze(1)


def _embedding(values: int, width: int) -> nn.Embedding:
    # Left uninitialised, because the weights come from a checkpoint. On the "meta" device, where the loader builds
    # the model, nn.Embedding's own initialisation would import PyTorch's compiler, which takes seconds.
    empty: nn.Embedding = nn.Embedding.from_pretrained(torch.empty(values, width), freeze=False)  # type: ignore[no-untyped-call]
    return empty


class _TokenEmbedding(nn.Module):
    """Both tokens of a candle, embedded, scaled by sqrt(D) and fused into one vector."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.scale = math.sqrt(config.d_model)
        self.emb_s1 = _embedding(2**config.s1_bits, config.d_model)
        self.emb_s2 = _embedding(2**config.s2_bits, config.d_model)
        self.fusion_proj = nn.Linear(2 * config.d_model, config.d_model)

    def forward(self, s1: Tensor, s2: Tensor) -> Tensor:
        """[B, T] twice to [B, T, D]."""
        both = torch.cat((self.emb_s1(s1) * self.scale, self.emb_s2(s2) * self.scale), dim=-1)
        out: Tensor = self.fusion_proj(both)
        return out


class _StampEmbedding(nn.Module):
    """The sum of one learned vector per calendar feature."""

    def __init__(self, width: int) -> None:
        super().__init__()
        for name, values in STAMP_FIELDS:
            self.add_module(f"{name}_embed", _embedding(values, width))

    def forward(self, stamps: Tensor) -> Tensor:
        """[B, T, 5] to [B, T, D]."""
        minute, hour, weekday, day, month = (
            self.get_submodule(f"{name}_embed")(stamps[..., column]) for column, (name, _) in enumerate(STAMP_FIELDS)
        )
        # Floating-point sums depend on their order; this is the one the checkpoints were trained with.
        total: Tensor = hour + weekday + day + month + minute
        return total


class _DependencyLayer(nn.Module):
    """Makes s2 depend on the sampled s1: s1's embedding attends to all hidden states."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cross_attn = _S2Attention(width, S2_ATTENTION_HEADS)
        self.norm = RMSNorm(width)

    def forward(self, hidden: Tensor, sibling: Tensor) -> Tensor:
        """``hidden`` [B, T, D] and ``sibling`` [B, 1, D] to [B, 1, D]: the last position only."""
        out: Tensor = self.norm(hidden[:, -1:] + self.cross_attn(sibling, hidden))
        return out


class _S2Attention(Attention):
    """Unmasked attention of one query to all positions.

    There is no rotary embedding: in inference the query has length 1, and the reference uses the table of that
    length for the keys too, so all of them are rotated by the angle of position 0, which is zero.
    """

    def forward(self, query: Tensor, hidden: Tensor) -> Tensor:
        """``query`` [B, 1, D] and ``hidden`` [B, T, D] to [B, 1, D]."""
        attended = functional.scaled_dot_product_attention(
            split_heads(self.q_proj(query), self.heads),
            split_heads(self.k_proj(hidden), self.heads),
            split_heads(self.v_proj(hidden), self.heads),
        )
        out: Tensor = self.out_proj(merge_heads(attended))
        return out


class _Heads(nn.Module):
    """Hidden states to logits, one projection per token."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.proj_s1 = nn.Linear(config.d_model, 2**config.s1_bits)
        self.proj_s2 = nn.Linear(config.d_model, 2**config.s2_bits)
