"""Drawing the next token from logits."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from .errors import ForecastInvalid

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

    def generator(self) -> torch.Generator:
        """A new generator, so that concurrent forecasts do not draw from the same one.

        It is on the CPU whatever the device, so a seed means the same everywhere.
        """
        generator = torch.Generator()
        if self.seed is None:
            generator.seed()
        else:
            generator.manual_seed(self.seed)
        return generator


def noise(rows: int, vocabulary: int, generator: torch.Generator) -> Tensor:
    """Exponential noise [rows, vocabulary], with which one token per row can be drawn.

    It is what ``torch.multinomial`` takes from a generator, so that a seed gives the reference's tokens.
    """
    return torch.empty(rows, vocabulary).exponential_(1, generator=generator)


@dataclass(frozen=True, eq=False)
class Choice:
    """The settings of the rows of a batch, [N, 1] each.

    ``limit`` is the most that the tokens likelier than the drawn one may weigh together: their probability for top_p,
    their number where ``count`` is set.
    """

    temperature: Tensor
    limit: Tensor
    count: Tensor | None

    @classmethod
    def of(cls, rows: Sequence[Sampling], device: torch.device) -> Self:
        """The settings of rows drawn as ``rows`` says."""
        column = functools.partial(torch.tensor, dtype=torch.float32, device=device)
        counts = [bool(one.top_k) for one in rows]
        limits = [one.top_k - 1 if one.top_k else one.top_p if one.top_p < 1 else math.inf for one in rows]
        return cls(
            temperature=column([one.temperature for one in rows]).unsqueeze(1),
            limit=column(limits).unsqueeze(1),
            count=torch.tensor(counts, device=device).unsqueeze(1) if any(counts) else None,
        )


def draw(logits: Tensor, noise: Tensor, choice: Choice) -> Tensor:
    """Draw one token per row.

    The winner of a race of probability over noise has the distribution of the probabilities (the Gumbel trick).
    If too many tokens are likelier than the winner, the filter excludes it, and with it all that are no likelier:
    they leave, and the next one wins. Nothing is sorted, and nine in ten rows with a top_p of 0.9 need one round.

    Args:
        logits: [N, V] float32. Rows that are not finite give tokens of no meaning.
        noise: [N, V], from :func:`noise`.
        choice: the settings of each row.

    Returns:
        [N] int64.
    """
    logits = logits / choice.temperature
    probability = logits.softmax(dim=-1)
    weight = probability if choice.count is None else torch.where(choice.count, 1.0, probability)
    race = probability / noise
    while True:
        winner = race.argmax(dim=-1, keepdim=True)
        reached = logits.gather(-1, winner)
        excluded = (weight * (logits > reached)).sum(dim=-1, keepdim=True) > choice.limit
        if not excluded.any():
            return winner.squeeze(-1)
        race = race.masked_fill(excluded & (logits <= reached), -1.0)
