"""Candles to standard deviations and back, column by column."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .errors import ForecastInvalid

COLUMNS = ("open", "high", "low", "close", "volume", "amount")
"""The numbers of a candle, in the order the model knows them."""

CLIP = 5.0
"""Standard deviations beyond which a value is cut off before the model sees it."""

EPSILON = 1e-5
"""Added to every standard deviation, so that a constant column does not divide by zero."""


@dataclass(frozen=True, eq=False)
class Scale:
    """Where a window lies and how widely it spreads. In the units of the candles, [6] each.

    Columns that vary by much less than ``EPSILON`` look constant to the model, as they did in training:
    scale such prices up before forecasting them.
    """

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]

    @classmethod
    def of(cls, candles: NDArray[np.float64]) -> Self:
        """Mean, and population standard deviation + ``EPSILON``, over a window [T, 6] of finite values.

        Raises:
            ForecastInvalid: a column is too large to be squared and summed in float64.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            mean = candles.mean(axis=0)
            spread = candles.std(axis=0) + EPSILON
        # Near the largest float64 the way back could overflow although the way there did not.
        usable = np.isfinite(mean) & (spread < np.finfo(np.float64).max / 1e6)
        if not usable.all():
            names = ", ".join(name for name, fine in zip(COLUMNS, usable, strict=True) if not fine)
            raise ForecastInvalid(f"the values of {names} are too large for float64 statistics; scale them down")
        return cls(mean, spread)

    def normalise(self, candles: NDArray[np.float64]) -> NDArray[np.float32]:
        """[T, 6] in the units of the candles to standard deviations within +-``CLIP``."""
        z = (candles - self.mean) / self.spread
        # In float64 and rounded once: float32 would lose prices that vary by a millionth of their size.
        return z.clip(-CLIP, CLIP).astype(np.float32)

    def denormalise(self, z: NDArray[np.float32]) -> NDArray[np.float64]:
        """[..., 6] in standard deviations to the units of the candles."""
        return z.astype(np.float64) * self.spread + self.mean
