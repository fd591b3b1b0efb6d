"""Training of the model: predict s1 of the next candle, then its s2 given the true s1."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from kronos_service.forecaster.layers import merge_heads, split_heads
from kronos_service.forecaster.model import Kronos


def loss(model: Kronos, s1: Tensor, s2: Tensor, stamps: Tensor) -> Tensor:
    """Mean cross-entropy in nats of both tokens of every candle but the first.

    Args:
        model: in training.
        s1: [B, T] int64.
        s2: [B, T] int64.
        stamps: [B, T, 5] int64.
    """
    hidden = model.hidden(s1[:, :-1], s2[:, :-1], stamps[:, :-1])
    following = s1[:, 1:]
    coarse = model.head.proj_s1(hidden)
    fine = model.head.proj_s2(model.dep_layer.norm(hidden + _attended(model, hidden, following)))
    return (_cross_entropy(coarse, following) + _cross_entropy(fine, s2[:, 1:])) / 2


def _attended(model: Kronos, hidden: Tensor, s1: Tensor) -> Tensor:
    """What the s1 of each next candle finds in the hidden states before it; all steps of decoding at once."""
    attention = model.dep_layer.cross_attn
    queries = attention.q_proj(model.embedding.emb_s1(s1))
    q, k, v = (split_heads(x, attention.heads) for x in (queries, attention.k_proj(hidden), attention.v_proj(hidden)))
    found = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    out: Tensor = attention.out_proj(merge_heads(found))
    return out


def _cross_entropy(logits: Tensor, tokens: Tensor) -> Tensor:
    return functional.cross_entropy(logits.flatten(0, 1), tokens.flatten())
