"""From a validated request to the arrays of the model.

Handles one series at a time and knows neither HTTP nor metrics. It blocks (pandas), so the routes run it in a thread.
Mistakes are collected as ``InvalidPlace``, with JSON pointers relative to the series.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kronos_service.api import times
from kronos_service.api.continuation import Assumed, continue_times
from kronos_service.api.errors import InvalidPlace
from kronos_service.api.schemas import Overrides, SingleRequest
from kronos_service.api.times import Times
from kronos_service.forecaster import COLUMNS, Sampling, Series, with_amount

PRICES = ("open", "high", "low", "close")

_NOISE = 1e-6
"""By how much of the largest price of its candle a low or high may be off: prices computed in float32 are."""

_PATH_CANDLES = 512
"""A series whose paths are answered counts as at least this long, which bounds the size of the answer."""


class InvalidSeries(Exception):  # noqa: N818 - reads better than InvalidSeriesError
    """A series cannot be forecast; ``places``, never empty, says where and why, relative to the series."""

    def __init__(self, places: Sequence[InvalidPlace]) -> None:
        super().__init__(f"{len(places)} places")
        self.places = places


@dataclass(frozen=True, slots=True)
class Prepared:
    """One series, ready for the model, with what the answer takes from the request.

    Attributes:
        horizon_texts: the H times to forecast, as the answer shows them.
        assumed: how those times were found; None if the caller gave them.
        mended: candles whose low or high was off by floating-point noise.
    """

    series_id: str | None
    series: Series
    horizon_texts: list[str]
    overrides: Overrides
    assumed: Assumed | None
    mended: int

    @property
    def input_candles(self) -> int:
        """Length of the history."""
        return len(self.series.candles)

    @property
    def work(self) -> int:
        """Candles x horizon x samples."""
        candles = max(self.input_candles, _PATH_CANDLES if self.overrides.paths else 0)
        return candles * self.series.horizon * self.series.sampling.samples


def prepare(request: SingleRequest) -> Prepared:
    """Check one series and build the model's arrays.

    The forecast is for ``prediction_timestamps``, or for ``horizon`` steps after the last candle (see
    ``continue_times``). Raises InvalidSeries with every mistake.
    """
    places: list[InvalidPlace] = []
    candles, mended = _candle_array(request, places)
    past = times.parse(request.timestamps, "/timestamps", places)
    if len(request.timestamps) != len(request.candles):
        reason = f"has {len(request.timestamps)} times for {len(request.candles)} candles"
        places.append(InvalidPlace("/timestamps", reason))
    future = None
    if request.prediction_timestamps is not None and request.horizon is not None:
        places.append(InvalidPlace("/horizon", "give either horizon or prediction_timestamps, not both"))
    elif request.prediction_timestamps is not None:
        future = times.parse(request.prediction_timestamps, "/prediction_timestamps", places)
    elif request.horizon is None:
        places.append(InvalidPlace("", "give either horizon or prediction_timestamps"))
    times.check(past, future, places)
    if places:
        raise InvalidSeries(places)

    assumed = None
    if future is None:
        assert request.horizon is not None  # noqa: S101 - checked above
        horizon, assumed = _continue(past, request.horizon)
        texts = times.write(horizon, like=past.texts)
    else:
        horizon, texts = future.index, future.texts
    return Prepared(
        series_id=request.series_id,
        series=Series(
            candles=candles,
            stamps=_calendar(past.index),
            horizon_stamps=_calendar(horizon),
            sampling=_sampling(request.overrides),
        ),
        horizon_texts=texts,
        overrides=request.overrides,
        assumed=assumed,
        mended=mended,
    )


def _continue(past: Times, count: int) -> tuple[pd.DatetimeIndex, Assumed]:
    try:
        horizon, assumed = continue_times(past.index.asi8, np.diff(past.instants.asi8), count)
    except OverflowError as error:
        reason = f"{count} steps after {past.texts[-1]} go too far: {error}"
        raise InvalidSeries([InvalidPlace("/horizon", reason)]) from None
    return pd.DatetimeIndex(horizon.astype("datetime64[us]")), assumed


def _candle_array(request: SingleRequest, places: list[InvalidPlace]) -> tuple[NDArray[np.float64], int]:
    """The candles as float64 [T, 6], with volume and amount filled in, and how many had to be mended.

    Adds what is inconsistent by more than floating-point noise to ``places``.
    """
    frame = pd.DataFrame(
        [(c.open, c.high, c.low, c.close, c.volume, c.amount) for c in request.candles],
        columns=list(COLUMNS),
        dtype=np.float64,
    )
    prices = frame[list(PRICES)]
    noise = _NOISE * prices.abs().max(axis=1)
    bottom, top = prices[["open", "close"]].min(axis=1), prices[["open", "close"]].max(axis=1)
    for column, wrong, reason in (
        ("low", prices["low"] > bottom + noise, "is above open or close"),
        ("high", prices["high"] < top - noise, "is below open or close"),
    ):
        places += [InvalidPlace(f"/candles/{row}/{column}", reason) for row in np.flatnonzero(wrong)]
    for column in ("volume", "amount"):
        missing = frame[column].isna()
        if missing.any() and not missing.all():
            reason = f"is missing here but not in every candle: give {column} in all candles or in none"
            places += [InvalidPlace(f"/candles/{row}/{column}", reason) for row in np.flatnonzero(missing)]
    if frame["volume"].isna().all() and frame["amount"].notna().any():
        places.append(InvalidPlace("/candles", "have an amount but no volume: give both or leave the amount out"))
    if places:
        return frame.to_numpy(), 0
    mended = prices.assign(low=prices["low"].clip(upper=bottom), high=prices["high"].clip(lower=top))
    volume, amount = (
        None if frame[column].isna().all() else frame[column].to_numpy() for column in ("volume", "amount")
    )
    return with_amount(mended.to_numpy(), volume, amount), int((mended != prices).any(axis=1).sum())


def _calendar(index: pd.DatetimeIndex) -> NDArray[np.int64]:
    """Minute, hour, weekday (Monday 0), day and month of each time, int64 [N, 5]."""
    return np.stack(
        [index.minute, index.hour, index.day_of_week, index.day, index.month], axis=1, dtype=np.int64, casting="safe"
    )


def _sampling(overrides: Overrides) -> Sampling:
    return Sampling(
        temperature=overrides.temperature,
        top_k=overrides.top_k,
        top_p=overrides.top_p,
        samples=overrides.sample_count,
        seed=overrides.seed,
    )
