"""Training of the tokenizer: reconstruct candles from bits (Kronos is arXiv 2508.02739, the quantiser 2406.07548)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from kronos_service.forecaster.tokenizer import KronosTokenizer

from .windows import Windows

# Weights in the quantiser's loss, as in the config.json of the public checkpoints.
BETA, GAMMA_0, GAMMA, ZETA = 0.05, 1.0, 1.1, 0.05

_ORDER = 0.5
"""Weight of the order of prices. Without it, a fifth of all candles has a high below its open or close."""


def loss(tokenizer: KronosTokenizer, batch: Windows) -> Tensor:
    """Error of candles rebuilt from s1 alone and from both tokens, and the quantiser's own loss."""
    sphere = _sphere(tokenizer, batch.z)
    # Straight through: the signs go forward, gradients pass as if nothing had been quantised.
    bits = sphere + (_signs(sphere) - sphere).detach()
    coarse = _decoded(tokenizer, tokenizer.post_quant_embed_pre(bits[..., : tokenizer.config.s1_bits]))
    fine = _decoded(tokenizer, tokenizer.post_quant_embed(bits))
    return _error(coarse, batch) + _error(fine, batch) + _quantiser_loss(sphere)


def tokens(tokenizer: KronosTokenizer, batch: Windows) -> tuple[Tensor, Tensor]:
    """s1 and s2 [B, T] int64 of the candles of a batch."""
    with torch.no_grad():
        return tokenizer.encode(batch.z)


def _sphere(tokenizer: KronosTokenizer, z: Tensor) -> Tensor:
    """Points on the unit sphere [B, T, bits], whose signs are the tokens."""
    hidden: Tensor = tokenizer.embed(z)
    for block in tokenizer.encoder:
        hidden = block(hidden)
    return functional.normalize(tokenizer.quant_embed(hidden), dim=-1)


def _signs(sphere: Tensor) -> Tensor:
    corner: float = sphere.shape[-1] ** -0.5
    return torch.where(sphere > 0, corner, -corner)


def _decoded(tokenizer: KronosTokenizer, hidden: Tensor) -> Tensor:
    for block in tokenizer.decoder:
        hidden = block(hidden)
    out: Tensor = tokenizer.head(hidden)
    return out


def _error(z: Tensor, batch: Windows) -> Tensor:
    """Squared error of normalised candles, and how far highs are below, and lows above, what they should bound."""
    opened, high, low, close = (z[..., :4] * batch.spread + batch.shift).unbind(dim=-1)
    below = functional.relu(torch.maximum(opened, close) - high)
    above = functional.relu(low - torch.minimum(opened, close))
    return functional.mse_loss(z, batch.z) + _ORDER * (below + above).mean()


def _quantiser_loss(sphere: Tensor) -> Tensor:
    """Keeps points near the corners that stand for them, bits sure, and both values of a bit equally frequent."""
    commitment = (sphere - _signs(sphere).detach()).square().sum(dim=-1).mean()
    probability = torch.sigmoid(4 * sphere / sphere.shape[-1] ** 0.5)
    doubt = _entropy(probability).sum(dim=-1).mean()
    variety = _entropy(probability.flatten(0, -2).mean(dim=0)).sum()
    return BETA * commitment + ZETA * (GAMMA_0 * doubt - GAMMA * variety)


def _entropy(p: Tensor) -> Tensor:
    """Of a bit that is set with probability ``p``."""
    entropy: Tensor = -torch.special.xlogy(p, p) - torch.special.xlogy(1 - p, 1 - p)
    return entropy
