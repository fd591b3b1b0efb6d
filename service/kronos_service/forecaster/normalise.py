"""Candles to standard deviations from the mean and back, column by column."""

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from .errors import ForecastInvalid

COLUMNS = ("open", "high", "low", "close", "volume", "amount")
"""The numbers of a candle, in the order of the model."""

CLIP = 5.0
"""Values are clipped to this many standard deviations before the model sees them."""

EPSILON = 1e-5
"""The reference adds this to every standard deviation, to avoid a division by zero for constant columns."""

ORDINARY_DEVIATION = 0.01
"""Columns that vary by less are normalised in a smaller unit: here ``EPSILON`` would be a thousandth of it."""

_ROUNDING = 1e-12
"""Of a mean: a column that varies by less is constant, and its deviation is what rounding left."""

_SMALLEST_UNIT = 1e-250
"""Smaller ones, times ``EPSILON``, could become 0."""

Precision = Literal["float64", "float32"]


@dataclass(frozen=True, eq=False)
class Scale:
    """Mean and spread of each column of a window, [6] each, in the units of the candles.

    In float64, forecasts do not depend on the unit of price. Where the standard deviation of a column is
    ``ORDINARY_DEVIATION`` or more, the spread is that of the reference. Below, it is what the reference would use if
    the column were multiplied by the power of ten that brings its deviation to 0.01 or more. The reference mistakes
    prices of 0.00001 for constant ones.

    In float32, everything is as in the reference, rounding included.
    """

    mean: NDArray[np.floating[Any]]
    spread: NDArray[np.floating[Any]]

    @classmethod
    def of(cls, candles: NDArray[np.float64], precision: Precision = "float64") -> Self:
        """Mean and spread over a window [T, 6] of finite values.

        Raises:
            ForecastInvalid: a column is too large to be squared and summed in this precision.
        """
        window = _reading(candles, precision)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, deviation = window.mean(axis=0), window.std(axis=0)
            spread = deviation + (EPSILON if precision == "float32" else EPSILON * _units(mean, deviation))
        # Near the largest number, denormalising could overflow where normalising did not.
        usable = np.isfinite(mean) & (spread < np.finfo(precision).max / 1e6)
        if not usable.all():
            names = ", ".join(name for name, fine in zip(COLUMNS, usable, strict=True) if not fine)
            raise ForecastInvalid(f"the values of {names} are too large for {precision} statistics; scale them down")
        return cls(mean, spread)

    def normalise(self, candles: NDArray[np.float64]) -> NDArray[np.float32]:
        """Candles [T, 6] to standard deviations within +-``CLIP``."""
        z: NDArray[np.floating[Any]] = (candles.astype(self.mean.dtype) - self.mean) / self.spread
        # In float64 rounded only here: earlier, prices that vary by a millionth would become constant.
        return z.clip(-CLIP, CLIP).astype(np.float32)

    def denormalise(self, z: NDArray[np.float32]) -> NDArray[np.float64]:
        """Standard deviations [..., 6] to candles."""
        candles: NDArray[np.float64] = (z.astype(self.mean.dtype) * self.spread + self.mean).astype(np.float64)
        return candles


def _reading(candles: NDArray[np.float64], precision: Precision) -> NDArray[np.floating[Any]]:
    if precision == "float64":
        return candles
    with np.errstate(over="ignore"):
        # The order of a data frame, which the reference takes: sums in float32 depend on it.
        narrow: NDArray[np.floating[Any]] = candles.astype(np.float32, order="F")
    return narrow


def _units(mean: NDArray[np.floating[Any]], deviation: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """The power of ten, at most 1, in which each column is normalised.

    For a constant column, it brings the mean to 10 or more.
    """
    level = np.abs(mean)
    constant = deviation <= _ROUNDING * level
    size = np.where(constant, level / 10, deviation / ORDINARY_DEVIATION)
    usable = (size > 0) & (size < 1)
    return np.power(10.0, np.floor(np.log10(np.where(usable, size, 1.0)))).clip(min=_SMALLEST_UNIT)
