import dataclasses

import numpy as np
import pytest

from kronos_service.forecaster import Forecast, ForecasterError, ForecastInvalid, with_amount


@pytest.fixture
def replace(make_series):
    def replace(**changes):
        return dataclasses.replace(make_series(5, 2), **changes)

    return replace


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"candles": np.ones((5, 5))}, "candles must be a float64 array"),
        ({"candles": np.ones((5, 6), dtype=np.float32)}, "got float32"),
        ({"candles": np.ones(6)}, r"got float64 \[6\]"),
        ({"candles": np.ones((0, 6))}, "1 or more"),
        ({"candles": np.ones((4, 6))}, "5 stamps for 4 candles"),
        ({"stamps": np.ones((5, 4), dtype=np.int64)}, "stamps must be a int64 array"),
        ({"stamps": np.ones((5, 5))}, "got float64"),
        ({"horizon_stamps": np.ones((0, 5), dtype=np.int64)}, "horizon_stamps must be"),
    ],
)
def test_wrong_arrays_are_refused(replace, changes, message):
    with pytest.raises(ForecastInvalid, match=message) as raised:
        replace(**changes)
    assert isinstance(raised.value, ValueError)
    assert isinstance(raised.value, ForecasterError)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_by_its_place(replace, value):
    candles = np.ones((5, 6))
    candles[3, 4] = value

    with pytest.raises(ForecastInvalid, match=f"volume of candle 3 is {value}"):
        replace(candles=candles)


@pytest.mark.parametrize("which", ["stamps", "horizon_stamps"])
@pytest.mark.parametrize(
    ("column", "value", "feature"),
    [
        (0, 60, "minute"),
        (1, 24, "hour"),
        (2, 7, "weekday"),
        (3, 0, "day"),
        (3, 32, "day"),
        (4, 0, "month"),
        (4, -1, "month"),
    ],
)
def test_impossible_times_are_refused_by_name(replace, which, column, value, feature):
    stamps = np.ones((5, 5), dtype=np.int64)
    stamps[1, column] = value

    with pytest.raises(ForecastInvalid, match=f"{feature} in {which} must be from"):
        replace(**{which: stamps})


def test_volume_and_amount_are_completed():
    prices = np.array([[1.0, 4.0, 1.0, 2.0], [2.0, 2.0, 2.0, 2.0]])
    volume, amount = np.array([10.0, 20.0]), np.array([7.0, 8.0])

    assert with_amount(prices).tolist() == [[1, 4, 1, 2, 0, 0], [2, 2, 2, 2, 0, 0]]
    assert with_amount(prices, volume)[:, 4:].tolist() == [[10, 20], [20, 40]]
    assert with_amount(prices, volume, amount)[:, 4:].tolist() == [[10, 7], [20, 8]]
    assert with_amount(prices, amount=amount)[:, 4:].tolist() == [[0, 0], [0, 0]]


def test_the_mean_is_over_the_paths():
    paths = np.arange(24.0).reshape(2, 2, 6)

    assert Forecast(paths, {}).mean.tolist() == ((paths[0] + paths[1]) / 2).tolist()
