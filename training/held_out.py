"""How good a checkpoint is on series that it was not trained on, beside two forecasts that need no model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kronos_service.forecaster import Checkpoint, Sampling, Series, forecast

from . import synthetic

SEED = 7
"""Not a seed of the training: these series are seen here only."""

HISTORY, HORIZON = 240, 24
_CLOSE = 3
_SHARE = 0.8


@dataclass(frozen=True)
class Figures:
    """Mean absolute errors of the close over all steps, in standard deviations of the history.

    Attributes:
        model: of the mean of the samples.
        last: of repeating the last candle.
        day_before: of repeating the candle 24 hours before.
        coverage: share of closes within the interval that should hold 80 % of them.
        inconsistent: share of candles whose high is not highest, or whose low is not lowest.
    """

    model: float
    last: float
    day_before: float
    coverage: float
    inconsistent: float


def measure(checkpoint: Checkpoint, *, series: int = 24, samples: int = 40) -> Figures:
    """Forecast a day for each of several series."""
    made = synthetic.make(np.random.default_rng(SEED), series, HISTORY + HORIZON)
    model, last, day_before, inside, broken = [], [], [], [], []
    for number, (candles, stamps) in enumerate(zip(made.candles, made.stamps, strict=True)):
        history, truth = candles[:HISTORY], candles[HISTORY:, _CLOSE]
        drawn = Sampling(samples=samples, seed=number)
        paths = forecast(checkpoint, Series(history, stamps[:HISTORY], stamps[HISTORY:], drawn)).paths
        closes = paths[..., _CLOSE]
        deviation = history[:, _CLOSE].std()
        model.append(abs(closes.mean(axis=0) - truth) / deviation)
        last.append(abs(history[-1, _CLOSE] - truth) / deviation)
        day_before.append(abs(history[-synthetic.DAY :, _CLOSE] - truth) / deviation)
        low, high = np.quantile(closes, [(1 - _SHARE) / 2, (1 + _SHARE) / 2], axis=0)
        inside.append((low <= truth) & (truth <= high))
        prices = paths[..., :4]
        broken.append((prices[..., 1] < prices.max(axis=-1)) | (prices[..., 2] > prices.min(axis=-1)))
    return Figures(*(float(np.mean(values)) for values in (model, last, day_before, inside, broken)))
