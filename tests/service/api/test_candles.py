"""The rules by which candles are checked and corrected, without a server."""

from __future__ import annotations

import numpy as np
import pytest

from kronos_service.api.answers import correct
from kronos_service.api.candles import prepare
from kronos_service.api.schemas import SingleRequest
from tests.service.server import series


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


def test_noise_of_computed_prices_is_mended_and_counted():
    body = series(4, horizon=1)
    for candle, close in zip(body["candles"], (0.1 + 0.2, 0.3, float(np.float32(0.3)), 0.3), strict=True):
        candle.update(open=0.2, high=0.3, low=0.2, close=close)
    body["candles"][3]["low"] = 0.1 * 2 + 1e-8
    prepared = prepare(SingleRequest.model_validate(body))
    open_, high, low, close = prepared.series.candles[:, :4].T
    assert (low <= np.minimum(open_, close)).all()
    assert (high >= np.maximum(open_, close)).all()
    assert prepared.mended == 3
    assert close.tolist() == [0.1 + 0.2, 0.3, float(np.float32(0.3)), 0.3]


@pytest.mark.parametrize("price", [0.0, -3.0])
def test_an_amount_is_positive_whatever_the_price(price: float):
    body = series(2, horizon=1)
    for candle in body["candles"]:
        candle.update(open=price, high=price, low=price, close=price, volume=10)
    assert prepare(SingleRequest.model_validate(body)).series.candles[:, 5].tolist() == [10 * abs(price)] * 2
