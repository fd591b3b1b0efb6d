"""From a forecast to the answer: mean, quantiles, paths and probabilities, each consistent in itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kronos_service.api.candles import PRICES, Prepared
from kronos_service.forecaster import COLUMNS, Forecast

_OPEN, _HIGH, _LOW, _CLOSE, _VOLUME, _AMOUNT = range(6)


@dataclass(frozen=True, slots=True)
class Finished:
    """One forecast in the shape of ``schemas.ItemAnswer``, and what is counted of it.

    ``corrected`` candles were inconsistent. ``nonpositive`` ones have a price of 0 or less, although all prices of
    the history are positive.
    """

    item: dict[str, object]
    corrected: int
    nonpositive: int


def finish(prepared: Prepared, forecast: Forecast, max_context: int) -> Finished:
    """Correct a forecast and shape it for the answer.

    The prediction is the mean of the paths. Quantiles are taken over the paths, for each step and column. All are
    corrected alike, but only candles of the prediction are counted. ``max_context`` is the model's.
    """
    wanted, history = prepared.overrides, prepared.series.candles
    prediction, corrected = correct(forecast.mean)
    item: dict[str, object] = {
        "series_id": prepared.series_id,
        "prediction": _candles(prepared.horizon_texts, prediction),
        "candles_used": min(len(history), max_context),
    }
    if prepared.assumed is not None:
        item["assumed"] = prepared.assumed.document()
    if wanted.quantiles:
        spread = np.quantile(forecast.paths, wanted.quantiles, axis=0)
        item["quantiles"] = [
            {"quantile": quantile, "prediction": _candles(prepared.horizon_texts, correct(candles)[0])}
            for quantile, candles in zip(wanted.quantiles, spread, strict=True)
        ]
    if wanted.probabilities:
        item["probabilities"] = _probabilities(prepared, forecast)
    if wanted.paths:
        item["paths"] = [_candles(prepared.horizon_texts, correct(path)[0]) for path in forecast.paths]
    prices = slice(len(PRICES))
    positive = bool((history[:, prices] > 0).all())
    nonpositive = int((prediction[:, prices] <= 0).any(axis=1).sum()) if positive else 0
    return Finished(item, int(corrected.sum()), nonpositive)


def correct(candles: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Make forecast candles [H, 6] consistent; also returns which ones changed [H].

    ``low`` is lowered to open and close, ``high`` raised to them, and a negative volume or amount becomes 0. A
    negative price stays: it is what the model said, and any bound would be arbitrary.
    """
    corrected = candles.copy()
    corrected[:, _LOW] = candles[:, [_OPEN, _LOW, _CLOSE]].min(axis=1)
    corrected[:, _HIGH] = candles[:, [_OPEN, _HIGH, _CLOSE]].max(axis=1)
    corrected[:, [_VOLUME, _AMOUNT]] = candles[:, [_VOLUME, _AMOUNT]].clip(min=0.0)
    return corrected, (corrected != candles).any(axis=1)


def _probabilities(prepared: Prepared, forecast: Forecast) -> list[dict[str, object]]:
    """The share of paths that close higher than the history did, and than the step before did."""
    close = forecast.paths[:, :, _CLOSE]
    last = prepared.series.candles[-1, _CLOSE]
    before = np.concatenate((np.full((len(close), 1), last), close[:, :-1]), axis=1)
    return [
        {"timestamp": text, "above_last": above_last, "rises": rises}
        for text, above_last, rises in zip(
            prepared.horizon_texts,
            (close > last).mean(axis=0).tolist(),
            (close > before).mean(axis=0).tolist(),
            strict=True,
        )
    ]


def _candles(texts: Sequence[str], candles: NDArray[np.float64]) -> list[dict[str, object]]:
    return [
        {"timestamp": text, **dict(zip(COLUMNS, row, strict=True))}
        for text, row in zip(texts, candles.tolist(), strict=True)
    ]
