"""Drawing the next token from logits."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import ForecastInvalid, InvalidOutput

MIN_TEMPERATURE = 1e-6
"""Dividing ordinary logits by less would overflow float32."""

MAX_SEED = 2**63 - 1


@dataclass(frozen=True)
class Sampling:
    """How the tokens of a forecast are drawn.

    Attributes:
        temperature: divides the logits; below 1 sharpens, above 1 flattens.
        top_k: draw from the k most likely tokens; 0 turns it off.
        top_p: draw from the fewest tokens whose probabilities sum to more than p (arXiv 1904.09751);
            ignored if ``top_k`` is on.
        samples: independent paths to draw.
        seed: makes the forecast repeatable; with None every one differs.

    Raises:
        ForecastInvalid: a value is out of its range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 0.9
    samples: int = 1
    seed: int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= MIN_TEMPERATURE):
            raise ForecastInvalid(f"temperature must be a number from {MIN_TEMPERATURE}, got {self.temperature}")
        if self.top_k < 0:
            raise ForecastInvalid(f"top_k must be 0 (off) or more, got {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ForecastInvalid(f"top_p must be above 0 and at most 1, got {self.top_p}")
        if self.samples < 1:
            raise ForecastInvalid(f"samples must be 1 or more, got {self.samples}")
        if self.seed is not None and not 0 <= self.seed <= MAX_SEED:
            raise ForecastInvalid(f"seed must be from 0 to {MAX_SEED}, got {self.seed}")

    def generator(self, device: torch.device) -> torch.Generator:
        """A new generator, so that concurrent forecasts do not draw from the same one."""
        generator = torch.Generator(device)
        if self.seed is None:
            generator.seed()
        else:
            generator.manual_seed(self.seed)
        return generator


def draw(logits: Tensor, sampling: Sampling, generator: torch.Generator) -> Tensor:
    """Draw one token per row.

    Args:
        logits: [B, V] float.
        sampling: temperature, and top_k or top_p.
        generator: source of randomness, on the device of ``logits``.

    Returns:
        [B] int64.

    Raises:
        InvalidOutput: the logits are not finite.
    """
    logits = logits / sampling.temperature
    # Checked here, because on a GPU a NaN trips an assertion in torch.multinomial that ends the process.
    if not torch.isfinite(logits).all():
        raise InvalidOutput("the model's logits are not finite; its weights may be damaged")
    if sampling.top_k > 0:
        logits = _keep_top_k(logits, sampling.top_k)
    elif sampling.top_p < 1:
        logits = _keep_top_p(logits, sampling.top_p)
    return torch.multinomial(logits.softmax(dim=-1), 1, generator=generator).squeeze(-1)


def _keep_top_k(logits: Tensor, k: int) -> Tensor:
    smallest_kept = logits.topk(min(k, logits.shape[-1])).values[:, -1:]
    return logits.masked_fill(logits < smallest_kept, -torch.inf)


def _keep_top_p(logits: Tensor, p: float) -> Tensor:
    ordered, order = logits.sort(descending=True)
    beyond = ordered.softmax(dim=-1).cumsum(dim=-1) > p
    # The token that crosses p is kept too, so there is always at least one.
    drop = beyond.roll(1, dims=-1)
    drop[:, 0] = False
    return logits.masked_fill(drop.scatter(-1, order, drop), -torch.inf)
