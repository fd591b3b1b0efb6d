"""How good a checkpoint is on series that it was not trained on, beside two forecasts that need no model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kronos_service.forecaster import Checkpoint, Sampling, Series, forecast

from . import synthetic

SEED = 7
"""Not a seed of the training: these series are seen here only."""

HISTORY, HORIZON = 240, 24
_CLOSE = 3
BOUNDS = (0.1, 0.9)
"""Quantiles of the closes that bound 80 % of them."""


@dataclass(frozen=True, eq=False)
class Forecast:
    """One series, in the units of its prices.

    Attributes:
        history: [T] closes that were known.
        truth: [H] closes that came.
        paths: [samples, H, 6] candles.
    """

    history: NDArray[np.float64]
    truth: NDArray[np.float64]
    paths: NDArray[np.float64]

    @property
    def closes(self) -> NDArray[np.float64]:
        """[samples, H]."""
        return self.paths[..., _CLOSE]


@dataclass(frozen=True)
class Figures:
    """Mean absolute errors of the close over all steps, in standard deviations of the history.

    Attributes:
        model: of the mean of the samples.
        last: of repeating the last candle.
        day_before: of repeating the candle 24 hours before.
        coverage: share of closes within ``BOUNDS``.
        inconsistent: share of candles whose high is not highest, or whose low is not lowest.
    """

    model: float
    last: float
    day_before: float
    coverage: float
    inconsistent: float


def forecasts(checkpoint: Checkpoint, series: int, samples: int) -> Iterator[Forecast]:
    """Forecast a day for each of several series."""
    made = synthetic.make(np.random.default_rng(SEED), series, HISTORY + HORIZON)
    for number, (candles, stamps) in enumerate(zip(made.candles, made.stamps, strict=True)):
        sampling = Sampling(samples=samples, seed=number)
        asked = Series(candles[:HISTORY], stamps[:HISTORY], stamps[HISTORY:], sampling)
        closes = candles[:, _CLOSE]
        yield Forecast(closes[:HISTORY], closes[HISTORY:], forecast(checkpoint, asked).paths)


def measure(checkpoint: Checkpoint, *, series: int = 24, samples: int = 40) -> Figures:
    """Compare forecasts with what came."""
    model, last, day_before, inside, broken = [], [], [], [], []
    for one in forecasts(checkpoint, series, samples):
        deviation = one.history.std()
        model.append(abs(one.closes.mean(axis=0) - one.truth) / deviation)
        last.append(abs(one.history[-1] - one.truth) / deviation)
        day_before.append(abs(one.history[-synthetic.DAY :] - one.truth) / deviation)
        low, high = np.quantile(one.closes, BOUNDS, axis=0)
        inside.append((low <= one.truth) & (one.truth <= high))
        prices = one.paths[..., :4]
        broken.append((prices[..., 1] < prices.max(axis=-1)) | (prices[..., 2] > prices.min(axis=-1)))
    return Figures(*(float(np.mean(values)) for values in (model, last, day_before, inside, broken)))
