"""The tokenizer: candles to pairs of small integers and back (Kronos, arXiv 2508.02739, section 3).

Its quantiser is binary spherical (arXiv 2406.07548): a candle becomes a point on the unit sphere of which
only the signs are kept. The first ``s1_bits`` signs are the coarse token s1, the rest the fine token s2;
sign i of a token is worth 2^i.
"""

import torch
from torch import Tensor, nn

from .config import TokenizerConfig
from .layers import TransformerBlock


class KronosTokenizer(nn.Module):
    """Encoder, binary quantiser and decoder, all causal. Inference only."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.config = config
        width, bits = config.d_model, config.s1_bits + config.s2_bits
        self.embed = nn.Linear(config.d_in, width)
        # The configured numbers count the embedding as a layer.
        self.encoder = _blocks(config, config.n_enc_layers - 1)
        self.quant_embed = nn.Linear(width, bits)
        self.post_quant_embed = nn.Linear(bits, width)
        self.decoder = _blocks(config, config.n_dec_layers - 1)
        self.head = nn.Linear(width, config.d_in)
        # Used in training only, but stored in every checkpoint, whose names must all match.
        self.post_quant_embed_pre = nn.Linear(config.s1_bits, width)
        self.tokenizer = _TrainingTables(bits, config.group_size)

    def encode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens of normalised candles.

        Args:
            z: [B, T, 6] float32: open, high, low, close, volume, amount in standard deviations.

        Returns:
            s1 and s2, each [B, T] int64, from 0 to 2^s1_bits - 1 and 2^s2_bits - 1.
        """
        hidden: Tensor = self.embed(z)
        for block in self.encoder:
            hidden = block(hidden)
        # Projecting onto the sphere divides by a positive length, so it can be skipped: only signs count.
        # Exactly 0 counts as negative, as in the reference.
        signs = self.quant_embed(hidden) > 0
        s1, s2 = signs.split([self.config.s1_bits, self.config.s2_bits], dim=-1)
        return _bits_to_integer(s1), _bits_to_integer(s2)

    def decode(self, s1: Tensor, s2: Tensor) -> Tensor:
        """Normalised candles [B, T, 6] of the tokens ``s1`` and ``s2``, each [B, T] int64."""
        bits = torch.cat(
            (_integer_to_bits(s1, self.config.s1_bits), _integer_to_bits(s2, self.config.s2_bits)), dim=-1
        )
        sphere = (bits.to(self.post_quant_embed.weight.dtype) * 2 - 1) * bits.shape[-1] ** -0.5
        hidden: Tensor = self.post_quant_embed(sphere)
        for block in self.decoder:
            hidden = block(hidden)
        out: Tensor = self.head(hidden)
        return out


class _TrainingTables(nn.Module):
    """Tables that only the training loss reads, named as in the checkpoint (``tokenizer.bsq.*``)."""

    def __init__(self, bits: int, group_size: int) -> None:
        super().__init__()
        self.bsq = nn.Module()
        for name, count in (("basis", bits), ("group_basis", group_size)):
            self.bsq.register_buffer(name, torch.tensor([2**bit for bit in reversed(range(count))]))


def _blocks(config: TokenizerConfig, count: int) -> nn.ModuleList:
    return nn.ModuleList(TransformerBlock(config.d_model, config.n_heads, config.ff_dim) for _ in range(count))


def _place_values(bits: int, device: torch.device | None = None) -> Tensor:
    return torch.tensor([2**bit for bit in range(bits)], device=device)


def _bits_to_integer(bits: Tensor) -> Tensor:
    return (bits * _place_values(bits.shape[-1], bits.device)).sum(dim=-1)


def _integer_to_bits(integer: Tensor, bits: int) -> Tensor:
    return (integer.unsqueeze(-1) & _place_values(bits, integer.device)) != 0
