"""The input and the output of a forecast."""

from dataclasses import dataclass, field
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from .errors import ForecastInvalid
from .normalise import COLUMNS
from .sampling import Sampling

Stage = Literal["tokenize", "prefill", "decode", "detokenize"]
"""Candles to tokens; the first step, over the whole window; all further steps; tokens to candles."""

STAMP_RANGES = {"minute": (0, 59), "hour": (0, 23), "weekday": (0, 6), "day": (1, 31), "month": (1, 12)}
"""Calendar features of a candle, in the order of a stamp, with their lowest and highest value; Monday is 0."""


@dataclass(frozen=True, eq=False)
class Series:
    """A history and how to continue it.

    The arrays are not copied: do not change them before the forecast is done.

    Attributes:
        candles: [T, 6] float64: open, high, low, close, volume, amount, oldest first.
        stamps: [T, 5] int64: minute, hour, weekday, day, month of each candle.
        horizon_stamps: [H, 5] int64: the same for each candle to forecast.
        sampling: how to draw the tokens.

    Raises:
        ForecastInvalid: an array has the wrong shape, dtype or values.
    """

    candles: NDArray[np.float64]
    stamps: NDArray[np.int64]
    horizon_stamps: NDArray[np.int64]
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        _check_array("candles", self.candles, np.float64, len(COLUMNS))
        if not np.isfinite(self.candles).all():
            row, column = np.argwhere(~np.isfinite(self.candles))[0]
            raise ForecastInvalid(
                f"candles must be finite, but {COLUMNS[column]} of candle {row} is"
                f" {self.candles[row, column]}; fill or drop missing values"
            )
        _check_stamps("stamps", self.stamps)
        _check_stamps("horizon_stamps", self.horizon_stamps)
        if len(self.stamps) != len(self.candles):
            raise ForecastInvalid(
                f"every candle needs a stamp, got {len(self.stamps)} stamps for {len(self.candles)} candles"
            )

    @property
    def horizon(self) -> int:
        """Candles to forecast."""
        return len(self.horizon_stamps)


@dataclass(frozen=True)
class StageTime:
    """The time of one series, or of several, in a stage of the model.

    Attributes:
        started: when the first series entered it, by ``perf_counter``.
        ended: when the last one left it.
        seconds: summed over the series, with what the model did for others meanwhile.
        calls: of the model, in which they took part.
    """

    started: float
    ended: float
    seconds: float
    calls: int

    def __add__(self, other: Self) -> Self:
        """Both together."""
        return type(self)(
            min(self.started, other.started),
            max(self.ended, other.ended),
            self.seconds + other.seconds,
            self.calls + other.calls,
        )


@dataclass(frozen=True, eq=False)
class Forecast:
    """Possible continuations of one series.

    Attributes:
        paths: [samples, H, 6] float64 in the units of the input.
        stage_seconds: time spent in each stage; ``decode`` is nearly 0 for a horizon of one candle.
    """

    paths: NDArray[np.float64]
    stage_seconds: dict[Stage, float]

    @property
    def mean(self) -> NDArray[np.float64]:
        """[H, 6]: the average path, which the reference returns as its prediction."""
        average: NDArray[np.float64] = self.paths.mean(axis=0)
        return average


def cached_positions(series: Series, max_context: int) -> int:
    """Candles that the model reads before its window slides or the horizon ends; nobody reads the last one drawn."""
    window = min(len(series.candles), max_context)
    return min(window + series.horizon - 1, max_context)


def with_amount(
    prices: NDArray[np.float64],
    volume: NDArray[np.float64] | None = None,
    amount: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Complete candles [T, 6] from prices [T, 4] and, where known, volume [T] and amount [T].

    As in the reference, both are 0 without a volume, even if an amount is given. A missing amount is the volume
    times the mean of the four prices, without its sign: a turnover is not negative where prices are.
    """
    if volume is None:
        volume = amount = np.zeros(len(prices))
    elif amount is None:
        amount = volume * np.abs(prices.mean(axis=1))
    return np.column_stack((prices, volume, amount))


def _check_array(name: str, array: NDArray[np.generic], dtype: type[np.generic], width: int) -> None:
    if array.dtype != dtype or array.ndim != 2 or array.shape[1] != width or len(array) == 0:
        raise ForecastInvalid(
            f"{name} must be a {dtype.__name__} array of shape [1 or more, {width}],"
            f" got {array.dtype} {list(array.shape)}"
        )


def _check_stamps(name: str, stamps: NDArray[np.int64]) -> None:
    _check_array(name, stamps, np.int64, len(STAMP_RANGES))
    for column, (feature, (first, last)) in enumerate(STAMP_RANGES.items()):
        values = stamps[:, column]
        if values.min() < first or values.max() > last:
            raise ForecastInvalid(
                f"{feature} in {name} must be from {first} to {last}, got {values.min()} to {values.max()}"
            )
