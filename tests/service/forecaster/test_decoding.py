import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from kronos_service.forecaster import ForecastInvalid, InvalidOutput, Stopped, StopToken, forecast
from kronos_service.forecaster.steps import FullWindow


def test_paths_have_the_shape_and_the_scale_of_the_request(demo, make_series):
    series = make_series(30, 5, samples=3)

    result = forecast(demo, series)

    assert result.paths.shape == (3, 5, 6)
    assert result.paths.dtype == np.float64
    assert result.mean.shape == (5, 6)
    distance = np.abs(result.paths - series.candles.mean(axis=0)) / series.candles.std(axis=0)
    assert distance.max() < 6


def test_the_same_seed_gives_the_same_paths(demo, make_series):
    first, again, other = (forecast(demo, make_series(seed=seed)).paths for seed in (1, 1, 2))

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_without_a_seed_every_call_differs(demo, make_series):
    series = make_series()

    assert not np.array_equal(forecast(demo, series).paths, forecast(demo, series).paths)


def test_samples_differ_from_each_other(demo, make_series):
    paths = forecast(demo, make_series(samples=2, seed=0)).paths

    assert not np.array_equal(paths[0], paths[1])


def test_threads_on_one_checkpoint_do_not_disturb_each_other(load, make_series):
    checkpoint = load("mini", 64)
    # Different lengths, some of them sliding: a table kept on a module would be of the wrong length.
    many = [make_series(50 + 3 * i, 4, data_seed=i, seed=i, samples=1 + i % 3) for i in range(12)]
    alone = [forecast(checkpoint, series).paths for series in many]
    threads = len(many)
    together = threading.Barrier(threads)

    def run(series):
        torch.set_num_threads(1)
        together.wait(timeout=120)
        return forecast(checkpoint, series).paths

    with ThreadPoolExecutor(threads) as pool:
        crowded = list(pool.map(run, many))

    assert all(np.array_equal(one, other) for one, other in zip(alone, crowded, strict=True))


@pytest.mark.parametrize("horizon", [63, 64, 65, 150])
def test_a_horizon_past_the_window_is_forecast_to_its_end(demo, make_series, horizon):
    result = forecast(demo, make_series(20, horizon, seed=1))

    assert result.paths.shape == (1, horizon, 6)
    assert np.isfinite(result.paths).all()


def test_a_longer_horizon_does_not_change_what_is_sampled(demo, make_series, monkeypatch):
    lengths = []
    decode = demo.tokenizer.decode
    monkeypatch.setattr(demo.tokenizer, "decode", lambda s1, s2: (lengths.append(s1), decode(s1, s2))[1])

    for horizon in (60, 100):
        forecast(demo, make_series(20, horizon, seed=1))

    short, long = lengths
    assert (short.shape[1], long.shape[1]) == (64, 100)
    assert short[0, -60:].tolist() == long[0, :60].tolist()


@pytest.mark.parametrize("level", [1e-9, 1e-4, 1e12, 1e15])
@pytest.mark.parametrize("constant", [False, True])
def test_any_finite_level_gives_finite_paths(demo, make_series, level, constant):
    series = make_series(40, 3, seed=1)
    candles = np.ones_like(series.candles) if constant else series.candles
    result = forecast(demo, dataclasses.replace(series, candles=candles * level))

    assert np.isfinite(result.paths).all()


def test_candles_too_large_are_refused(demo, make_series):
    series = make_series()

    with pytest.raises(ForecastInvalid, match="too large"):
        forecast(demo, dataclasses.replace(series, candles=series.candles * 1e300))


def test_stages_are_timed_and_told(demo, make_series):
    told = []

    result = forecast(demo, make_series(), observe_stage=lambda stage, seconds: told.append((stage, seconds)))

    assert [stage for stage, _ in told] == ["tokenize", "prefill", "decode", "detokenize"]
    assert dict(told) == result.stage_seconds
    assert all(seconds > 0 for seconds in result.stage_seconds.values())


@pytest.fixture
def count_steps(monkeypatch):
    """Count the steps of all decodes; call what is hooked in at each."""
    hook = {"steps": 0, "at": lambda _: None}
    advance = FullWindow.advance

    def counted(self, *args):
        hook["steps"] += 1
        hook["at"](hook["steps"])
        return advance(self, *args)

    monkeypatch.setattr(FullWindow, "advance", counted)
    return hook


def test_a_stop_strikes_before_the_next_step(demo, make_series, count_steps):
    stop, told = StopToken(), []
    count_steps["at"] = lambda step: stop.stop("timeout") if step == 3 else None

    with pytest.raises(Stopped, match="timeout") as raised:
        forecast(demo, make_series(20, 50), stop=stop, observe_stage=lambda stage, _: told.append(stage))

    assert raised.value.cause == "timeout"
    assert count_steps["steps"] == 3
    assert told == ["tokenize", "prefill", "decode"], "a stage that was stopped took its time too"


def test_a_stop_in_the_first_step_strikes_before_the_second(demo, make_series, count_steps):
    stop = StopToken()
    count_steps["at"] = lambda _: stop.stop("shutdown")

    with pytest.raises(Stopped):
        forecast(demo, make_series(), stop=stop)
    assert count_steps["steps"] == 1


def test_a_stop_beforehand_strikes_at_once(demo, make_series, count_steps):
    stop = StopToken()
    stop.stop("first")
    stop.stop("second")

    with pytest.raises(Stopped, match="first"):
        forecast(demo, make_series(), stop=stop)
    assert count_steps["steps"] == 0


def test_output_that_is_not_finite_is_refused(demo, make_series, monkeypatch):
    decode = demo.tokenizer.decode
    monkeypatch.setattr(demo.tokenizer, "decode", lambda s1, s2: decode(s1, s2) / 0)

    with pytest.raises(InvalidOutput, match="not finite"):
        forecast(demo, make_series())


def test_a_step_needs_a_window(demo):
    with pytest.raises(RuntimeError, match="before advance"):
        FullWindow(demo.model, 8).s2_logits(torch.tensor([1]))


def test_nothing_is_left_that_could_be_differentiated(demo, make_series):
    forecast(demo, make_series())

    for module in (demo.model, demo.tokenizer):
        assert not module.training
        assert not any(parameter.requires_grad for parameter in module.parameters())
        assert all(parameter.grad is None for parameter in module.parameters())
