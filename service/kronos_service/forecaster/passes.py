"""A pass of a transformer over new positions of several series at once.

The matrices multiply the positions of all series together, packed one after another without padding. Attention
is per series, over its own cache. A pass over a long window can be made in chunks, and a decoding step is a pass of
one position per series.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .cache import Cache
from .layers import RMS_NORM_EPS
from .weights import ModelWeights, Stack, TokenizerWeights


@dataclass(frozen=True, eq=False)
class Part:
    """The share of one series in a pass: ``count`` new positions in each row of its cache.

    Packed, they are ``rows * count`` vectors: row after row, and in a row position after position.
    """

    cache: Cache
    count: int

    @property
    def size(self) -> int:
        """Vectors of this part."""
        return self.cache.rows * self.count

    @property
    def positions(self) -> list[int]:
        """The position of each vector."""
        return list(range(self.cache.length, self.cache.length + self.count)) * self.cache.rows


def norm(x: Tensor) -> Tensor:
    """Root mean square normalisation without weights, computed in float32."""
    return functional.rms_norm(x.float(), x.shape[-1:], eps=RMS_NORM_EPS).type_as(x)


def run(stack: Stack, x: Tensor, parts: Sequence[Part], *, keys_only: bool = False) -> Tensor:
    """Run new positions through all layers, and write their keys and values.

    Args:
        stack: the layers.
        x: [N, D]: the packed inputs of all parts.
        parts: whose positions they are.
        keys_only: stop at the last layer's keys and values. The result is of no use then.

    Returns:
        [N, D], not normed.
    """
    turn = stack.rotation(position for part in parts for position in part.positions)
    masks = [_mask(part, x.device) for part in parts]
    sizes = [part.size for part in parts]
    for layer, block in enumerate(stack.blocks):
        turned, values = block.qkv(norm(x)).split_with_sizes([2 * stack.width, stack.width], dim=-1)
        queries, keys = _rotate(_heads(turned, 2 * stack.heads), turn).chunk(2, dim=1)
        packed = (queries, keys, _heads(values, stack.heads))
        written = [
            (q, part.cache.write(layer, k, v))
            for part, q, k, v in zip(parts, *(_unpack(each, parts, sizes) for each in packed), strict=True)
        ]
        if keys_only and layer == len(stack.blocks) - 1:
            break
        attended = [attend(q, known, mask) for (q, known), mask in zip(written, masks, strict=True)]
        x = x + block.out(torch.cat(attended))
        gate, up = block.gate_up(norm(x)).chunk(2, dim=-1)
        x = torch.addmm(x, functional.silu(gate) * up, block.down)
    return x


def read(model: ModelWeights, ids: Tensor, parts: Sequence[Part]) -> Tensor:
    """Let the model read candles, and write keys and values, also those of the s2 attention.

    Args:
        model: the weights.
        ids: [N, 7] int64: rows of ``model.table`` of the packed candles of all parts.
        parts: whose candles they are.

    Returns:
        [N, D]: the normed output, for ``s1_head`` and, times ``norm``, the hidden states.
    """
    x = norm(run(model.stack, functional.embedding_bag(ids, model.table, mode="sum"), parts))
    layer = len(model.stack.blocks)
    heads = model.cached_heads[layer]
    keys, values = (_heads(side, heads) for side in model.s2_keys_values(x).chunk(2, dim=-1))
    sizes = [part.size for part in parts]
    for part, k, v in zip(parts, _unpack(keys, parts, sizes), _unpack(values, parts, sizes), strict=True):
        part.cache.write(layer, k, v)
    _extend(parts)
    return x


def encode(tokenizer: TokenizerWeights, z: Tensor, parts: Sequence[Part]) -> Tensor:
    """Tokens [N, 2] int64 of normalised candles [N, 6]: s1 and s2, as rows of the tables."""
    x = run(tokenizer.encoder, tokenizer.embed(z), parts)
    # Projecting onto the sphere divides by a positive length, so it can be skipped: only signs count.
    # Exactly 0 counts as negative, as in the reference.
    signs = (tokenizer.bits(x) > 0).unsqueeze(-1)
    tokens = (signs * tokenizer.places).sum(dim=1) + tokenizer.offsets
    _extend(parts)
    return tokens


def replay(tokenizer: TokenizerWeights, ids: Tensor, parts: Sequence[Part]) -> Tensor:
    """Let the tokenizer's decoder read candles [N, 2] that come before those to decode; the result is of no use."""
    x = functional.embedding_bag(ids, tokenizer.table, mode="sum")
    x = run(tokenizer.decoder, x, parts, keys_only=True)
    _extend(parts)
    return x


def detokenize(tokenizer: TokenizerWeights, ids: Tensor, parts: Sequence[Part]) -> Tensor:
    """Normalised candles [N, 6] of tokens [N, 2], which are rows of ``tokenizer.table``."""
    x = functional.embedding_bag(ids, tokenizer.table, mode="sum")
    z = tokenizer.head(run(tokenizer.decoder, x, parts))
    _extend(parts)
    return z


def attend(queries: Tensor, known: tuple[Tensor, Tensor], mask: Tensor | None = None) -> Tensor:
    """Attention of queries [rows, h, T, d] to known keys and values [rows, h, S, d], packed as [rows * T, D].

    Without a mask a query sees all positions, or as many as there are up to its own if T is S.
    """
    count = queries.shape[2]
    attended = functional.scaled_dot_product_attention(
        queries, *known, attn_mask=mask, is_causal=mask is None and count > 1
    )
    return attended.transpose(1, 2).reshape(-1, queries.shape[1] * queries.shape[3])


def _extend(parts: Sequence[Part]) -> None:
    for part in parts:
        part.cache.extend(part.count)


def _heads(x: Tensor, heads: int) -> Tensor:
    """[N, D] to [N, h, d]."""
    return x.view(len(x), heads, -1)


def _unpack(packed: Tensor, parts: Sequence[Part], sizes: Sequence[int]) -> list[Tensor]:
    """[N, h, d] to [rows, h, T, d] per part."""
    return [
        each.view(part.cache.rows, part.count, *each.shape[1:]).transpose(1, 2)
        for part, each in zip(parts, packed.split_with_sizes(sizes), strict=True)
    ]


def _rotate(x: Tensor, turn: Tensor) -> Tensor:
    """Rotate vectors [N, h, d], whose pairs are adjacent, by ``turn`` [N, 1, d / 2]."""
    pairs = torch.view_as_complex(x.float().reshape(*x.shape[:2], -1, 2))
    return torch.view_as_real(pairs * turn).flatten(-2).type_as(x)


def _mask(part: Part, device: torch.device) -> Tensor | None:
    """Which positions a later chunk sees: those before it and its own up to each query; None where none is needed."""
    start = part.cache.length
    if part.count == 1 or start == 0:
        return None
    return torch.ones((part.count, start + part.count), dtype=torch.bool, device=device).tril(start)
