"""The rules by which times continue and candles are corrected, without a server."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kronos_service.api.candles import InvalidSeries, correct, infer_horizon, prepare
from kronos_service.api.schemas import SingleRequest
from tests.service.server import series


def times(*texts: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(list(texts)).as_unit("us")


@pytest.mark.parametrize(
    ("past", "expected"),
    [
        pytest.param(
            times("2024-01-01 09:30", "2024-01-01 09:35"),
            ["2024-01-01T09:40:00", "2024-01-01T09:45:00", "2024-01-01T09:50:00"],
            id="two times: their difference",
        ),
        pytest.param(
            times("2024-01-04", "2024-01-05", "2024-01-06", "2024-01-07"),
            ["2024-01-08T00:00:00", "2024-01-09T00:00:00", "2024-01-10T00:00:00"],
            id="daily, with weekends",
        ),
        pytest.param(
            times("2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09", "2024-01-10", "2024-01-11"),
            ["2024-01-12T00:00:00", "2024-01-15T00:00:00", "2024-01-16T00:00:00"],
            id="business days",
        ),
        pytest.param(
            # New Year's Day is missing, so that the series is not regular.
            times(
                *(f"2023-12-{day}T16:00" for day in (27, 28, 29)), *(f"2024-01-0{day}T16:00" for day in (2, 3, 4, 5))
            ),
            ["2024-01-08T16:00:00", "2024-01-09T16:00:00", "2024-01-10T16:00:00"],
            id="business days with a holiday, at their hour",
        ),
        pytest.param(
            times("2024-01-01", "2024-01-02", "2024-01-04", "2024-01-05"),
            ["2024-01-06T00:00:00", "2024-01-07T00:00:00", "2024-01-08T00:00:00"],
            id="days of one week say nothing about weekends",
        ),
        pytest.param(
            times("2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"),
            ["2024-05-31T00:00:00", "2024-06-30T00:00:00", "2024-07-31T00:00:00"],
            id="month ends",
        ),
        pytest.param(
            times("2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"),
            ["2024-05-01T00:00:00", "2024-06-01T00:00:00", "2024-07-01T00:00:00"],
            id="month starts",
        ),
        pytest.param(
            times("2024-01-05", "2024-01-12", "2024-01-19"),
            ["2024-01-26T00:00:00", "2024-02-02T00:00:00", "2024-02-09T00:00:00"],
            id="weekly",
        ),
        pytest.param(
            times("2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 05:00", "2024-01-01 06:00"),
            ["2024-01-01T07:00:00", "2024-01-01T08:00:00", "2024-01-01T09:00:00"],
            id="a gap: the most common difference",
        ),
        pytest.param(
            times("2024-01-01 00:00", "2024-01-01 03:00", "2024-01-01 04:00", "2024-01-01 07:00", "2024-01-01 08:00"),
            ["2024-01-01T09:00:00", "2024-01-01T10:00:00", "2024-01-01T11:00:00"],
            id="equally common: the smallest",
        ),
        pytest.param(
            times("2024-01-01 00:00:00.000001", "2024-01-01 00:00:00.000002"),
            [f"2024-01-01T00:00:00.00000{digit}" for digit in (3, 4, 5)],
            id="microseconds",
        ),
    ],
)
def test_the_step_is_inferred(past: pd.DatetimeIndex, expected: list[str]):
    assert [time.isoformat() for time in infer_horizon(past, 3)] == expected


@pytest.mark.parametrize(
    "past",
    [
        times("9999-12-30", "9999-12-31"),
        times("0001-01-01", "9000-01-01"),
        times("9997-01-01", "9998-01-01", "9999-01-01"),
        times("9999-12-27", "9999-12-28", "9999-12-29", "9999-12-30", "9999-12-31"),
    ],
    ids=str,
)
def test_no_time_is_past_the_last_year(past: pd.DatetimeIndex):
    with pytest.raises(InvalidSeries) as refusal:
        infer_horizon(past, 512)
    assert refusal.value.places[0].pointer == "/horizon"


@pytest.mark.parametrize(
    ("candle", "expected"),
    [
        ([10, 12, 9, 11, 5, 50], [10, 12, 9, 11, 5, 50]),
        ([10, 9, 12, 11, 5, 50], [10, 11, 10, 11, 5, 50]),
        ([10, 10.5, 9, 11, 5, 50], [10, 11, 9, 11, 5, 50]),
        ([10, 12, 10.5, 11, 5, 50], [10, 12, 10, 11, 5, 50]),
        ([10, 12, 9, 11, -5, -50], [10, 12, 9, 11, 0, 0]),
        ([-10, -8, -12, -9, 5, 50], [-10, -8, -12, -9, 5, 50]),
    ],
)
def test_mending_changes_no_more_than_it_must(candle: list[float], expected: list[float]):
    corrected, which = correct(np.array([candle], dtype=np.float64))
    assert corrected.tolist() == [expected]
    assert which.tolist() == [candle != expected]


def test_the_arrays_of_the_model():
    body = series(2, horizon=1) | {"timestamps": ["2024-02-29T23:59:00+09:00", "2024-03-01T00:00:00+09:00"]}
    body["candles"] = [
        {"open": 1, "high": 4, "low": 1, "close": 2, "volume": 10},
        {"open": 2, "high": 2, "low": 2, "close": 2, "volume": 0},
    ]
    prepared = prepare(SingleRequest.model_validate(body))
    assert prepared.series.candles.tolist() == [[1, 4, 1, 2, 10, 20], [2, 2, 2, 2, 0, 0]]
    # Minute, hour, weekday (Thursday is 3), day, month: as written, whatever the offset.
    assert prepared.series.stamps.tolist() == [[59, 23, 3, 29, 2], [0, 0, 4, 1, 3]]
    assert prepared.series.horizon_stamps.tolist() == [[1, 0, 4, 1, 3]]
    assert prepared.horizon_texts == ["2024-03-01T00:01:00+09:00"]
    assert prepared.work == 2


def test_without_volume_both_are_zero():
    body = series(4, horizon=1)
    for candle in body["candles"]:
        del candle["volume"]
    assert prepare(SingleRequest.model_validate(body)).series.candles[:, 4:].tolist() == [[0, 0]] * 4
