"""Candles to standard deviations from the mean and back, column by column."""

import math
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
"""What varies by less is normalised in a smaller unit. Here ``EPSILON`` is a thousandth of the deviation."""

_ORDINARY_LEVEL = 10.0
"""A smaller unit makes prices 10 to 100, unless they then still vary by less than ``ORDINARY_DEVIATION``."""

_ROUNDING = 1e-12
"""Of a mean: a column that varies by less is constant, and its deviation is what rounding left."""

_SMALLEST_UNIT = 1e-250
"""Smaller ones, times ``EPSILON``, could become 0."""

Precision = Literal["float64", "float32"]


@dataclass(frozen=True, eq=False)
class Scale:
    """Mean and spread of each column of a window, [6] each, in the units of the candles.

    In float64, forecasts do not depend on the unit of price. Where the standard deviation of prices is
    ``ORDINARY_DEVIATION`` or more, spreads are those of the reference. Below, they are what the reference would use
    for prices a power of ten higher, which are ordinary: it mistakes prices of 0.00001 for constant ones. The same
    goes for volumes; amounts follow prices and volumes.

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
    """The power of ten, at most 1, in which each column is normalised."""
    level = np.abs(mean)
    price = _unit(level[:4].max(), deviation[:4].max())
    volume = _unit(level[4], deviation[4])
    amount = max(price * volume, _SMALLEST_UNIT)
    if deviation[5] < ORDINARY_DEVIATION * amount:
        amount = min(amount, _unit(level[5], deviation[5]))
    return np.array([price, price, price, price, volume, amount])


def _unit(level: float, deviation: float) -> float:
    if deviation >= ORDINARY_DEVIATION:
        return 1.0
    by_level = _decade(level / _ORDINARY_LEVEL)
    if deviation <= _ROUNDING * level or deviation >= ORDINARY_DEVIATION * by_level:
        return by_level
    return _decade(deviation / ORDINARY_DEVIATION)


def _decade(size: float) -> float:
    return min(1.0, max(_SMALLEST_UNIT, 10.0 ** math.floor(math.log10(size)))) if size > 0 else 1.0
