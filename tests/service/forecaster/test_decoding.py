import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from kronos_service.forecaster import (
    ForecastInvalid,
    InferenceError,
    InvalidOutput,
    Stopped,
    StopToken,
    forecast,
    scheduler,
)
from kronos_service.forecaster.progress import Progress
from kronos_service.forecaster.scheduler import Scheduler


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
    drawn = []
    accept = Progress.accept

    def note(self, s1, s2, *, finite):
        drawn[-1].append((s1.tolist(), s2.tolist()))
        accept(self, s1, s2, finite=finite)

    monkeypatch.setattr(Progress, "accept", note)
    for horizon in (60, 100):
        drawn.append([])
        forecast(demo, make_series(20, horizon, seed=1))

    short, long = drawn
    assert (len(short), len(long)) == (60, 100)
    assert long[:60] == short


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_chunks_change_nothing(demo, make_series, monkeypatch, chunk):
    series = make_series(50, 20, samples=3, seed=5)
    whole = forecast(demo, series).paths
    monkeypatch.setattr(scheduler, "CHUNK", chunk)

    np.testing.assert_allclose(forecast(demo, series).paths, whole, rtol=1e-5)


def test_a_hop_forecasts_on_from_a_shorter_window(demo, make_series):
    """Until the window is full nothing changes; then it is read anew every ``hop`` candles only."""
    series = make_series(60, 30, seed=5)
    exact = forecast(demo, series).paths
    calls = []

    for hop in (1, 8):
        running = Scheduler(demo)
        progress = Progress(demo, series, None, hop)
        running.add(progress)
        read = 0
        while running.running:
            read += sum(call.size for call in running.turn().calls if call.state == "prefill")
        calls.append((read, progress.outcome.paths))

    (often, same), (seldom, other) = calls
    assert np.array_equal(same, exact)
    assert often == 60 + 25 * 64, "the candles read first, and the window for each of those that make it slide"
    assert seldom == 60 + 4 * 57
    np.testing.assert_allclose(other[:, :5], exact[:, :5], rtol=1e-5)
    assert not np.allclose(other, exact)


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


def test_stages_are_timed(demo, make_series):
    result = forecast(demo, make_series())

    assert list(result.stage_seconds) == ["tokenize", "prefill", "decode", "detokenize"]
    assert all(seconds > 0 for seconds in result.stage_seconds.values())


@pytest.fixture
def count_steps(monkeypatch):
    """Count the steps of all decodes; call what is hooked in at each."""
    hook = {"steps": 0, "at": lambda _: None}
    draw_candle = scheduler.draw_candle

    def counted(*args):
        hook["steps"] += 1
        hook["at"](hook["steps"])
        return draw_candle(*args)

    monkeypatch.setattr(scheduler, "draw_candle", counted)
    return hook


def test_a_stop_strikes_before_the_next_step(demo, make_series, count_steps):
    stop = StopToken()
    count_steps["at"] = lambda step: stop.stop("timeout") if step == 3 else None

    with pytest.raises(Stopped, match="timeout") as raised:
        forecast(demo, make_series(20, 50), stop=stop)

    assert raised.value.cause == "timeout"
    assert count_steps["steps"] == 3


def test_a_stop_strikes_before_the_next_chunk(demo, make_series, monkeypatch, count_steps):
    stop, chunks = StopToken(), []
    read = scheduler.read
    monkeypatch.setattr(scheduler, "CHUNK", 8)

    def stop_in_the_second(*args):
        chunks.append(args)
        if len(chunks) == 2:
            stop.stop("timeout")
        return read(*args)

    monkeypatch.setattr(scheduler, "read", stop_in_the_second)

    with pytest.raises(Stopped):
        forecast(demo, make_series(50, 5), stop=stop)

    assert (len(chunks), count_steps["steps"]) == (2, 0)


def test_a_stop_beforehand_strikes_at_once(demo, make_series, count_steps):
    stop = StopToken()
    stop.stop("first")
    stop.stop("second")

    with pytest.raises(Stopped, match="first"):
        forecast(demo, make_series(), stop=stop)
    assert count_steps["steps"] == 0


def test_output_that_is_not_finite_is_refused(demo, make_series, monkeypatch):
    detokenize = scheduler.detokenize
    monkeypatch.setattr(scheduler, "detokenize", lambda *args: detokenize(*args) / 0)

    with pytest.raises(InvalidOutput, match="not finite"):
        forecast(demo, make_series())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_fail_their_own_series_alone(demo, make_series, monkeypatch, bad):
    read = scheduler.read

    def spoil(model, ids, parts):
        result = read(model, ids, parts)
        if len(ids) == 3:
            result[1] = bad
        return result

    series = [make_series(20, 6, data_seed=seed, seed=seed) for seed in range(3)]
    expected = [forecast(demo, one).paths for one in series]
    monkeypatch.setattr(scheduler, "read", spoil)
    running = Scheduler(demo)
    many = [Progress(demo, one) for one in series]
    for one in many:
        running.add(one)
    while running.running:
        running.turn()

    assert isinstance(many[1].outcome, InvalidOutput)
    for one in (0, 2):
        np.testing.assert_allclose(many[one].outcome.paths, expected[one], rtol=1e-5)


def test_a_call_that_fails_is_tried_again_for_each_series_alone(demo, make_series, monkeypatch):
    draw_candle = scheduler.draw_candle
    unlucky = make_series(20, 6, data_seed=9, seed=9)
    series = [make_series(20, 6, data_seed=seed, seed=seed) for seed in range(3)]
    expected = [forecast(demo, one).paths for one in series]
    running = Scheduler(demo)
    many = [Progress(demo, one) for one in (series[0], unlucky, *series[1:])]
    broken = many[1]

    def fail(model, read, caches, *rest):
        if broken.outcome is None and broken.drawn == 2 and any(cache is broken.cache for cache in caches):
            raise RuntimeError("odd")
        return draw_candle(model, read, caches, *rest)

    monkeypatch.setattr(scheduler, "draw_candle", fail)
    for one in many:
        running.add(one)
    while running.running:
        running.turn()

    assert isinstance(many[1].outcome, InferenceError)
    for one, paths in zip((many[0], *many[2:]), expected, strict=True):
        np.testing.assert_allclose(one.outcome.paths, paths, rtol=1e-5)
