import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kronos_service.forecaster import ForecastInvalid
from kronos_service.forecaster.normalise import CLIP, EPSILON, ORDINARY_DEVIATION, Scale

SANE = st.floats(-1e15, 1e15, allow_nan=False, allow_infinity=False)
WINDOWS = st.integers(1, 40).flatmap(lambda length: arrays(np.float64, (length, 6), elements=SANE))


# No deadline: the machine may be busy. No database: it would be written into the checkout.
@settings(deadline=None, database=None)
@given(WINDOWS)
def test_output_is_finite_and_comes_back(candles):
    scale = Scale.of(candles)
    z = scale.normalise(candles)

    assert z.dtype == np.float32
    assert np.isfinite(z).all()
    assert np.abs(z).max() <= CLIP
    back = scale.denormalise(z)
    assert back.dtype == np.float64
    kept = np.abs(z) < CLIP
    # float32 keeps seven digits of a distance from the mean that is at most five spreads.
    close = np.abs(back - candles) <= 1e-6 * scale.spread + 1e-15 * np.abs(candles)
    assert close[kept].all()


@pytest.mark.parametrize("level", [5e-324, 1e-300, 1e-9, 1e-3, 1.0, 97_000.0, 1e12, 1e15])
def test_constant_columns_stay_where_they_are(level):
    candles = np.full((400, 6), level)
    scale = Scale.of(candles)

    z = scale.normalise(candles)

    assert np.abs(z).max() <= 1
    np.testing.assert_allclose(scale.denormalise(z), candles, rtol=1e-12)


def test_matches_the_definition():
    candles = np.random.default_rng(0).normal(50, 7, (30, 6))
    deviation = np.sqrt(((candles - candles.mean(axis=0)) ** 2).sum(axis=0) / 30)

    expected = (candles - candles.mean(axis=0)) / (deviation + EPSILON)

    np.testing.assert_allclose(Scale.of(candles).normalise(candles), expected, rtol=1e-6)


def wander(length: int = 300, level: float = 12.1, volatility: float = 0.001, seed: int = 0):
    random = np.random.default_rng(seed)
    close = level * np.exp(np.cumsum(random.normal(0, volatility, length)))
    return np.column_stack((close * 0.999, close * 1.001, close * 0.998, close, *random.lognormal(7, 1, (2, length))))


@pytest.mark.parametrize("volatility", [1e-6, 1e-4, 0.001, 0.01])
@pytest.mark.parametrize("power", range(-12, -3))
def test_powers_of_ten_below_ordinary_prices_make_no_difference(power, volatility):
    ordinary = wander(volatility=volatility)
    small = ordinary * 10.0 ** np.array([power, power, power, power, 0, power])
    scale, small_scale = Scale.of(ordinary), Scale.of(small)

    np.testing.assert_allclose(small_scale.normalise(small), scale.normalise(ordinary), rtol=2e-6, atol=1e-9)
    np.testing.assert_allclose(small_scale.spread / scale.spread, small[0] / ordinary[0], rtol=1e-9)


@pytest.mark.parametrize("factor", [1e-9, 3.7e-6, 0.02, 7.3, 150, 1e9])
def test_any_unit_makes_a_thousandth_of_difference_at_most(factor):
    candles = wander()

    z = Scale.of(candles * factor).normalise(candles * factor)

    np.testing.assert_allclose(z, Scale.of(candles).normalise(candles), rtol=EPSILON / ORDINARY_DEVIATION, atol=1e-6)


@pytest.mark.parametrize("price", [12.1, 1.21e-5])
def test_the_scale_of_a_constant_price_follows_its_unit(price):
    scale = Scale.of(np.full((50, 6), price))

    np.testing.assert_allclose(scale.spread[:5] / price, EPSILON / 12.1, rtol=1e-6)


@pytest.mark.parametrize("deviation", [ORDINARY_DEVIATION * 1.001, 0.1, 1, 99, 1e6])
def test_from_the_ordinary_deviation_on_the_spread_is_that_of_the_reference(deviation):
    candles = 5 + np.array([[1.0], [-1.0]]) * [deviation] * np.ones(6)

    assert np.array_equal(Scale.of(candles).spread, candles.std(axis=0) + EPSILON)


def test_below_the_ordinary_deviation_the_spread_is_smaller_than_that_of_the_reference():
    candles = 5 + np.array([[1.0], [-1.0]]) * np.full(6, ORDINARY_DEVIATION * 0.999)

    assert (Scale.of(candles).spread < candles.std(axis=0) + EPSILON).all()


def test_tiny_volumes_do_not_look_constant():
    candles = wander() * [1, 1, 1, 1, 1e-9, 1]

    assert Scale.of(candles).normalise(candles)[:, 4].std() == pytest.approx(1, rel=0.01)


def test_outliers_are_cut_off():
    candles = np.zeros((100, 6))
    candles[50] = 1e6
    candles[51] = -1e3

    z = Scale.of(candles).normalise(candles)

    assert (z[50] == CLIP).all()
    assert (z[51] > -CLIP).all()


def test_small_moves_of_a_large_price_survive():
    prices = 1e9 + np.arange(10.0)
    z = Scale.of(np.tile(prices[:, None], 6)).normalise(np.tile(prices[:, None], 6))

    assert np.diff(z[:, 0]) == pytest.approx(np.full(9, 0.348155), rel=1e-4)


@pytest.mark.parametrize("huge", [[1.7e308, 1.7e308], [1e200, -1e200], [1.7e308, -1.7e308], [1e160, 0.0]])
def test_columns_too_large_for_float64_are_refused_by_name(huge):
    candles = np.ones((2, 6))
    candles[:, 4] = huge

    with pytest.raises(ForecastInvalid, match="values of volume are too large"):
        Scale.of(candles)


def test_float32_refuses_what_it_cannot_square():
    candles = np.ones((2, 6))
    candles[:, 5] = [1e25, 2e25]

    Scale.of(candles)
    with pytest.raises(ForecastInvalid, match="values of amount are too large for float32"):
        Scale.of(candles, "float32")
