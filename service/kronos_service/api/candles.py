"""From a validated request to the arrays of the model, and from a forecast back to an answer.

Everything here handles one series at a time and knows neither HTTP nor metrics. It blocks (pandas), so the routes
run it in a thread. Mistakes are collected as ``InvalidPlace``, with JSON pointers relative to the series.

Times are answered in the format they came in. The model sees local time (minute, hour, weekday, day and month as
written), so a series has to keep to one UTC offset.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kronos_service.api.errors import InvalidPlace
from kronos_service.api.schemas import Overrides, SingleRequest
from kronos_service.forecaster import COLUMNS, Forecast, Sampling, Series, with_amount

# Opt in to offsets instead of strings, which infer_freq otherwise warns about. Global, but this process is ours.
pd.set_option("future.infer_freq_returns_offset", True)

_OPEN, _HIGH, _LOW, _CLOSE, _VOLUME, _AMOUNT = range(6)

_TIME = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})[Tt](?P<clock>\d{2}:\d{2}:\d{2})(?P<fraction>\.\d+)?"
    r"(?P<offset>[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)?",
    re.ASCII,
)
_MAX_FRACTION = len(".123456")
_LAST_YEAR = 9999
_DAY = pd.Timedelta(days=1)
_SATURDAY = 5


class InvalidSeries(Exception):  # noqa: N818 - reads better than InvalidSeriesError
    """A series cannot be forecast; ``places``, never empty, says where and why, relative to the series."""

    def __init__(self, places: Sequence[InvalidPlace]) -> None:
        super().__init__(f"{len(places)} places")
        self.places = places


@dataclass(frozen=True, slots=True)
class Prepared:
    """One series, ready for the model, with what the answer takes from the request.

    ``horizon_texts``: the H times to forecast, as the answer shows them.
    """

    series_id: str | None
    series: Series
    horizon_texts: list[str]
    quantiles: list[float]

    @property
    def input_candles(self) -> int:
        """Length of the history."""
        return len(self.series.candles)

    @property
    def work(self) -> int:
        """Candles x horizon x samples."""
        return self.input_candles * self.series.horizon * self.series.sampling.samples


@dataclass(frozen=True, slots=True)
class Finished:
    """One forecast in the shape of ``schemas.ItemAnswer``, and how many of its candles were corrected."""

    item: dict[str, object]
    corrected: int


@dataclass(frozen=True, slots=True)
class _Times:
    """One list of times: ``index`` in local time (NaT where invalid), ``texts`` as written."""

    index: pd.DatetimeIndex
    texts: list[str]
    offsets: list[str | None]


def prepare(request: SingleRequest) -> Prepared:
    """Check one series and build the model's arrays.

    The forecast is for ``prediction_timestamps``, or for ``horizon`` steps after the last candle (see
    ``infer_horizon``). Raises InvalidSeries with every mistake.
    """
    places: list[InvalidPlace] = []
    candles = _candle_array(request, places)
    past = _parse_times(request.timestamps, "/timestamps", places)
    if len(request.timestamps) != len(request.candles):
        reason = f"has {len(request.timestamps)} times for {len(request.candles)} candles"
        places.append(InvalidPlace("/timestamps", reason))
    future = None
    if request.prediction_timestamps is not None and request.horizon is not None:
        places.append(InvalidPlace("/horizon", "give either horizon or prediction_timestamps, not both"))
    elif request.prediction_timestamps is not None:
        future = _parse_times(request.prediction_timestamps, "/prediction_timestamps", places)
    elif request.horizon is None:
        places.append(InvalidPlace("", "give either horizon or prediction_timestamps"))
    _check_offsets(past, future, places)
    _check_order(past.index, "/timestamps", places)
    if future is not None:
        _check_order(future.index, "/prediction_timestamps", places)
        _check_after(past, future, places)
    if places:
        raise InvalidSeries(places)

    if future is None:
        assert request.horizon is not None  # noqa: S101 - checked above
        horizon = infer_horizon(past.index, request.horizon)
        texts = _write_times(horizon, like=past.texts[-1])
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
        quantiles=request.overrides.quantiles or [],
    )


def finish(prepared: Prepared, forecast: Forecast) -> Finished:
    """Correct a forecast and shape it for the answer.

    The prediction is the mean of the paths. Quantiles are taken over the paths, for each step and column, and
    corrected like the mean, but only candles of the prediction count as ``corrected``.
    """
    prediction, corrected = correct(forecast.mean)
    item: dict[str, object] = {
        "series_id": prepared.series_id,
        "prediction": _answer_candles(prepared.horizon_texts, prediction),
    }
    if prepared.quantiles:
        spread = np.quantile(forecast.paths, prepared.quantiles, axis=0)
        item["quantiles"] = [
            {
                "quantile": quantile,
                "prediction": _answer_candles(prepared.horizon_texts, correct(candles)[0]),
            }
            for quantile, candles in zip(prepared.quantiles, spread, strict=True)
        ]
    return Finished(item, int(corrected.sum()))


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


def infer_horizon(past: pd.DatetimeIndex, count: int) -> pd.DatetimeIndex:
    """The ``count`` times that continue ``past``, which has at least two, in order.

    A regular series (business days, months and quarters included) keeps its frequency. Otherwise the step is the
    most common difference, the smallest if several are. If that is a day, and the series spans a weekend without a
    candle on any Saturday or Sunday (daily stock prices with holidays), it continues on business days. Nights and
    holidays are not predicted: callers who need such gaps send ``prediction_timestamps``.

    Raises InvalidSeries if a time would be after the year 9999.
    """
    last = past[-1]
    try:
        horizon = pd.date_range(last, periods=count + 1, freq=_step(past), unit=past.unit)
        # date_range includes the last candle's own time if that is on the frequency's grid.
        horizon = horizon[horizon > last][:count]
        fits = len(horizon) == count and horizon[-1].year <= _LAST_YEAR
    except (OverflowError, ValueError):
        # From pandas, for a time beyond its own, wider, range; all other arguments are known to be valid.
        fits = False
    if not fits:
        reason = f"{count} steps after {last.isoformat()} go past the year {_LAST_YEAR}"
        raise InvalidSeries([InvalidPlace("/horizon", reason)])
    return horizon


def _step(past: pd.DatetimeIndex) -> pd.offsets.BaseOffset | pd.Timedelta:
    if len(past) >= 3 and (regular := pd.infer_freq(past)) is not None:
        return cast("pd.offsets.BaseOffset", regular)  # the stubs only know the strings of older versions
    # mode() sorts, so the first is the smallest.
    step: pd.Timedelta = past.to_series().diff().mode().iloc[0]
    if step == _DAY and (past.day_of_week < _SATURDAY).all() and past[-1] - past[0] > past[-1].weekday() * _DAY:
        return pd.offsets.BusinessDay()
    return step


def _candle_array(request: SingleRequest, places: list[InvalidPlace]) -> NDArray[np.float64]:
    """The candles as float64 [T, 6], with volume and amount filled in; adds inconsistencies to ``places``."""
    frame = pd.DataFrame(
        [(c.open, c.high, c.low, c.close, c.volume, c.amount) for c in request.candles],
        columns=list(COLUMNS),
        dtype=np.float64,
    )
    body = frame[["open", "close"]]
    for column, wrong, reason in (
        ("low", frame["low"] > body.min(axis=1), "is above open or close"),
        ("high", frame["high"] < body.max(axis=1), "is below open or close"),
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
        return frame.to_numpy()
    volume, amount = (
        None if frame[column].isna().all() else frame[column].to_numpy() for column in ("volume", "amount")
    )
    return with_amount(frame[["open", "high", "low", "close"]].to_numpy(), volume, amount)


def _parse_times(texts: list[str], pointer: str, places: list[InvalidPlace]) -> _Times:
    local: list[str | None] = []
    offsets: list[str | None] = []
    reasons: dict[int, str] = {}
    for row, text in enumerate(texts):
        match = _TIME.fullmatch(text)
        fraction = (match["fraction"] or "") if match else ""
        if match is None:
            reasons[row] = "is not an RFC 3339 time such as 2024-01-31T09:30:00Z or 2024-01-31T09:30:00"
        elif len(fraction) > _MAX_FRACTION:
            reasons[row] = "is finer than a microsecond: give at most 6 decimals"
        usable = match if row not in reasons else None
        local.append(f"{usable['date']}T{usable['clock']}{fraction}" if usable else None)
        offsets.append(_offset(usable["offset"]) if usable else None)
    parsed = pd.to_datetime(pd.Series(local, dtype="str"), format="ISO8601", errors="coerce")
    index = pd.DatetimeIndex(parsed).as_unit("us")
    # RFC 3339 and pandas accept the year 0, which no calendar has.
    exists = index.notna() & (index.year > 0)
    for number in np.flatnonzero(~exists).tolist():
        reasons.setdefault(number, "does not exist")
    places += [InvalidPlace(f"{pointer}/{row}", reason) for row, reason in sorted(reasons.items())]
    return _Times(pd.DatetimeIndex(index.where(exists)), texts, offsets)


def _offset(written: str | None) -> str:
    if written is None:
        return "none"
    return "+00:00" if written in {"Z", "z", "-00:00"} else written


def _check_offsets(past: _Times, future: _Times | None, places: list[InvalidPlace]) -> None:
    """Report every time whose offset is not the one that most of the series has."""
    written = [("/timestamps", past)] + ([("/prediction_timestamps", future)] if future else [])
    counts = Counter(offset for _, times in written for offset in times.offsets if offset is not None)
    if len(counts) < 2:
        return
    usual = counts.most_common(1)[0][0]
    for pointer, times in written:
        for row, offset in enumerate(times.offsets):
            if offset is not None and offset != usual:
                reason = (
                    f"has {_named(offset)}, but other times of this series have {_named(usual)}: write all with "
                    "the same offset, or all without"
                )
                places.append(InvalidPlace(f"{pointer}/{row}", reason))


def _named(offset: str) -> str:
    return "no offset" if offset == "none" else f"the offset {offset}"


def _check_order(index: pd.DatetimeIndex, pointer: str, places: list[InvalidPlace]) -> None:
    # Comparisons with NaT are false, so a time that could not be parsed is not reported twice.
    for row in (np.flatnonzero(index[1:] <= index[:-1]) + 1).tolist():
        same = index[row] == index[row - 1]
        reason = "is the same as the time before it" if same else "is earlier than the time before it: sort by time"
        places.append(InvalidPlace(f"{pointer}/{row}", reason))


def _check_after(past: _Times, future: _Times, places: list[InvalidPlace]) -> None:
    if len(past.index) == 0:
        return
    last = past.index[-1]
    for row in np.flatnonzero(future.index <= last):
        reason = f"is not after the last candle, {past.texts[-1]}"
        places.append(InvalidPlace(f"/prediction_timestamps/{row}", reason))


def _write_times(index: pd.DatetimeIndex, like: str) -> list[str]:
    """The times in the format of ``like``: its T, its decimals (more if needed) and its offset."""
    form = _TIME.fullmatch(like)
    assert form is not None  # noqa: S101 - parsed before
    separator = like[len("2024-01-31")]
    width = len(form["fraction"] or ".") - 1
    if (index.microsecond % 10 ** (6 - width) != 0).any():
        width = 6
    suffix = form["offset"] or ""
    texts = []
    for time in index:
        fraction = f".{time.microsecond:06d}".ljust(width + 1, "0")[: width + 1] if width else ""
        texts.append(
            f"{time.year:04d}-{time.month:02d}-{time.day:02d}{separator}"
            f"{time.hour:02d}:{time.minute:02d}:{time.second:02d}{fraction}{suffix}"
        )
    return texts


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


def _answer_candles(texts: Sequence[str], candles: NDArray[np.float64]) -> list[dict[str, object]]:
    rows: Iterator[list[float]] = iter(candles.tolist())
    return [
        {"timestamp": text, **dict(zip(COLUMNS, row, strict=True))} for text, row in zip(texts, rows, strict=True)
    ]
