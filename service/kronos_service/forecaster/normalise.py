"""Candles to standard deviations from the mean and back, column by column."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .errors import ForecastInvalid

COLUMNS = ("open", "high", "low", "close", "volume", "amount")
"""The numbers of a candle, in the order of the model."""

CLIP = 5.0
"""Values are clipped to this many standard deviations before the model sees them."""

EPSILON = 1e-5
"""Added to every standard deviation, to avoid a division by zero for constant columns."""


@dataclass(frozen=True, eq=False)
class Scale:
    """Mean and spread of each column of a window, [6] each, in the units of the candles.

    Columns that vary by much less than ``EPSILON`` look constant to the model, as they did in training: scale such
    prices up before a forecast.
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
        # Near the largest float64, denormalising could overflow where normalising did not.
        usable = np.isfinite(mean) & (spread < np.finfo(np.float64).max / 1e6)
        if not usable.all():
            names = ", ".join(name for name, fine in zip(COLUMNS, usable, strict=True) if not fine)
            raise ForecastInvalid(f"the values of {names} are too large for float64 statistics; scale them down")
        return cls(mean, spread)

    def normalise(self, candles: NDArray[np.float64]) -> NDArray[np.float32]:
        """Candles [T, 6] to standard deviations within +-``CLIP``."""
        z = (candles - self.mean) / self.spread
        # Rounded to float32 only at the end: earlier, prices that vary by a millionth would become constant.
        return z.clip(-CLIP, CLIP).astype(np.float32)

    def denormalise(self, z: NDArray[np.float32]) -> NDArray[np.float64]:
        """Standard deviations [..., 6] to candles."""
        return z.astype(np.float64) * self.spread + self.mean
