"""The weights as inference multiplies by them: folded from the modules of :mod:`.model` and :mod:`.tokenizer`.

The modules say what a checkpoint holds; these say the same with fewer and larger products. Folding reorders
floating-point sums and changes nothing else. It is done in float64, so the sums are at least as exact as before.

- The weight of a norm goes into the projection that follows it.
- Query, key and value are one product, and so are the gate and the input of the feed-forward layer.
- Rotary embedding pairs element i with element i + d / 2. With the pairs next to each other, a rotation is one
  complex product. Queries and keys are permuted alike, which leaves their products as they were.
- An embedding followed by a linear layer is a table of its outputs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from .config import S2_ATTENTION_HEADS
from .errors import CheckpointInvalid
from .layers import Attention, RMSNorm, TransformerBlock
from .model import STAMP_FIELDS, Kronos
from .tokenizer import KronosTokenizer


@dataclass(frozen=True, eq=False)
class Linear:
    """``x @ weight.T + bias``: weight [out, in], bias [out] or None."""

    weight: Tensor
    bias: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """[N, in] to [N, out]."""
        return nn.functional.linear(x, self.weight, self.bias)


@dataclass(frozen=True, eq=False)
class Block:
    """One transformer block of width D. The norms before ``qkv`` and ``gate_up`` have no weights left."""

    qkv: Linear
    """[3D, D]: queries and keys, their pairs adjacent, and values."""
    out: Linear
    gate_up: Linear
    """[2F, D]: both projections into the feed-forward layer of width F."""
    down: Tensor
    """[F, D], to be multiplied from the right."""


@dataclass(frozen=True, eq=False)
class Stack:
    """Transformer blocks one after another, and the angles of their rotary embedding."""

    blocks: tuple[Block, ...]
    heads: int
    width: int
    frequencies: Tensor
    """[d / 2] float32: the rotation of each pair per position."""

    def rotation(self, positions: Iterable[int]) -> Tensor:
        """Complex [N, 1, d / 2]: what pairs at these positions are multiplied by."""
        angles = torch.outer(
            torch.tensor(list(positions), dtype=torch.float32, device=self.frequencies.device), self.frequencies
        )
        return torch.polar(torch.ones_like(angles), angles).unsqueeze(1)


@dataclass(frozen=True, eq=False)
class TokenizerWeights:
    """The tokenizer: candles to bits, and tokens to candles."""

    encoder: Stack
    embed: Linear
    """[D, 6]: a normalised candle into the encoder."""
    bits: Linear
    """[bits, D]: out of the encoder; a bit is set where this is positive."""
    places: Tensor
    """[bits, 2] int64: what each bit is worth in s1 and in s2."""
    offsets: Tensor
    """[2] int64: where s1 and s2 begin in the tables, here and in the model."""
    decoder: Stack
    table: Tensor
    """[2^s1_bits + 2^s2_bits, D]: each token into the decoder; the two rows of a candle are added."""
    head: Linear
    """[6, D]: out of the decoder."""


@dataclass(frozen=True, eq=False)
class ModelWeights:
    """The forecasting model."""

    stack: Stack
    table: Tensor
    """[2^s1_bits + 2^s2_bits + 136, D]: tokens and calendar features; the seven rows of a candle are added."""
    offsets: tuple[int, ...]
    """Where s1, s2 and the calendar features of a stamp begin in ``table``."""
    norm: Tensor
    """[D]: from the normed stack to hidden states."""
    s1_head: Linear
    """[2^s1_bits, D], from the normed stack."""
    s2_keys_values: Linear
    """[2D, D], from the normed stack."""
    s2_queries: Tensor
    """[2^s1_bits, D]: the query of each s1."""
    s2_out: Linear
    s2_head: Linear
    """[2^s2_bits, D], after a norm without weights."""

    @property
    def cached_heads(self) -> tuple[int, ...]:
        """Heads of every layer with keys and values; the last is the attention of s2."""
        return (*(self.stack.heads for _ in self.stack.blocks), S2_ATTENTION_HEADS)


class Folder:
    """Folds modules into weights of one type on one device."""

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self._dtype = dtype
        self._device = device

    def model(self, model: Kronos) -> ModelWeights:
        """Fold a model, whose modules are not needed any more afterwards."""
        config, embedding, times = model.config, model.embedding, model.time_emb
        fusion_s1, fusion_s2 = _wide(embedding.fusion_proj.weight).chunk(2, dim=1)
        parts = [
            _wide(embedding.emb_s1.weight) * embedding.scale @ fusion_s1.T + _wide(embedding.fusion_proj.bias),
            _wide(embedding.emb_s2.weight) * embedding.scale @ fusion_s2.T,
            *(_wide(cast("nn.Embedding", times.get_submodule(f"{name}_embed")).weight) for name, _ in STAMP_FIELDS),
        ]
        attention, norm = model.dep_layer.cross_attn, model.norm
        query = attention.q_proj
        queries = nn.functional.linear(_wide(embedding.emb_s1.weight), _wide(query.weight), _wide(query.bias))
        return ModelWeights(
            stack=self._stack(model.transformer, config.n_heads, config.d_model),
            table=self._tensor(torch.cat(parts)),
            offsets=tuple(sum(len(part) for part in parts[:index]) for index in range(len(parts))),
            norm=self._tensor(norm.weight),
            s1_head=self._linear([model.head.proj_s1], norm),
            s2_keys_values=self._linear([attention.k_proj, attention.v_proj], norm),
            s2_queries=self._tensor(queries),
            s2_out=self._linear([attention.out_proj]),
            s2_head=self._linear([model.head.proj_s2], model.dep_layer.norm),
        )

    def tokenizer(self, tokenizer: KronosTokenizer) -> TokenizerWeights:
        """Fold a tokenizer, whose modules are not needed any more afterwards."""
        config = tokenizer.config
        post = tokenizer.post_quant_embed
        from_s1, from_s2 = _wide(post.weight).split_with_sizes([config.s1_bits, config.s2_bits], dim=1)
        length = math.sqrt(config.s1_bits + config.s2_bits)
        tables = [_signs(config.s1_bits) @ from_s1.T / length + _wide(post.bias)]
        tables.append(_signs(config.s2_bits) @ from_s2.T / length)
        places = torch.zeros((config.s1_bits + config.s2_bits, 2), dtype=torch.int64)
        places[: config.s1_bits, 0] = 2 ** torch.arange(config.s1_bits)
        places[config.s1_bits :, 1] = 2 ** torch.arange(config.s2_bits)
        return TokenizerWeights(
            encoder=self._stack(tokenizer.encoder, config.n_heads, config.d_model),
            embed=self._linear([tokenizer.embed]),
            bits=self._linear([tokenizer.quant_embed]),
            places=places.to(self._device),
            offsets=torch.tensor([0, 2**config.s1_bits], device=self._device),
            decoder=self._stack(tokenizer.decoder, config.n_heads, config.d_model),
            table=self._tensor(torch.cat(tables)),
            head=self._linear([tokenizer.head]),
        )

    def _stack(self, blocks: nn.ModuleList, heads: int, width: int) -> Stack:
        layers = [cast("TransformerBlock", block) for block in blocks]
        frequencies = [block.self_attn.rotary.inv_freq for block in layers] or [torch.ones(width // heads // 2)]
        if any(not torch.equal(each, frequencies[0]) for each in frequencies):
            raise CheckpointInvalid("the rotary frequencies differ between layers, as in no Kronos checkpoint")
        return Stack(
            tuple(self._block(block) for block in layers), heads, width, frequencies[0].float().to(self._device)
        )

    def _block(self, block: TransformerBlock) -> Block:
        attention, ffn = block.self_attn, block.ffn
        qkv = self._linear(
            [attention.q_proj, attention.k_proj, attention.v_proj], block.norm1, _pairs_adjacent(attention)
        )
        return Block(
            qkv=qkv,
            out=self._linear([attention.out_proj]),
            gate_up=self._linear([ffn.w1, ffn.w3], block.norm2),
            down=self._tensor(ffn.w2.weight.T.contiguous()),
        )

    def _linear(self, layers: list[nn.Linear], norm: RMSNorm | None = None, order: Tensor | None = None) -> Linear:
        """Several layers over one input as one, after a norm, with the outputs in another order."""
        weight = torch.cat([_wide(layer.weight) for layer in layers])
        if norm is not None:
            weight = weight * _wide(norm.weight)
        bias = torch.cat([_wide(layer.bias) for layer in layers]) if layers[0].bias is not None else None
        if order is not None:
            weight, bias = weight[order], None if bias is None else bias[order]
        return Linear(self._tensor(weight), None if bias is None else self._tensor(bias))

    def _tensor(self, tensor: Tensor) -> Tensor:
        return tensor.detach().to(self._device, self._dtype).contiguous()


def _wide(tensor: Tensor) -> Tensor:
    return tensor.detach().double()


def _signs(bits: int) -> Tensor:
    """[2^bits, bits] of -1 and 1: the bits of each token, the lowest first."""
    tokens = torch.arange(2**bits).unsqueeze(1)
    return ((tokens >> torch.arange(bits)) & 1).double() * 2 - 1


def _pairs_adjacent(attention: Attention) -> Tensor:
    """Order of the outputs of query, key and value in which the elements of a rotated pair are neighbours."""
    width = attention.q_proj.out_features
    rows = torch.arange(width).view(attention.heads, 2, -1).transpose(1, 2).flatten()
    return torch.cat((rows, rows + width, torch.arange(2 * width, 3 * width)))
