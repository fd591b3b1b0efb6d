"""The scheduler, with a model that waits to be told how each series ends."""

import contextvars
import queue
import threading
import time
from concurrent.futures import wait
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kronos_service.forecaster import (
    Forecast,
    ForecastInvalid,
    InferenceError,
    InvalidOutput,
    Limits,
    NotReady,
    NullObserver,
    OutOfMemory,
    QueueFull,
    Stopped,
    TooMuchWork,
    Worker,
    forecast,
    worker,
)
from kronos_service.forecaster.errors import classify
from kronos_service.forecaster.pace import Pace, Work
from kronos_service.forecaster.scheduler import Call, Turn
from kronos_service.forecaster.series import StageTime

PATIENCE = 120.0
REQUEST = contextvars.ContextVar("REQUEST", default="nobody")


class Ended:
    """Stands in for ``Progress``: the series of a fake model."""

    def __init__(self, _checkpoint, series, stop, _hop):
        self.series, self.stop = series, stop
        self.outcome = None
        self.stages = {"decode": StageTime(10.0, 10.5, 0.5, 5)}
        self.first_candle = None
        self.drawn = 6

    def end(self, outcome):
        self.outcome = outcome


class Model:
    """Stands in for ``Scheduler``: reports each series that reaches it and waits for its outcome, oldest first."""

    def __init__(self):
        self.reached = queue.Queue()
        self.outcomes = queue.Queue()
        self.order = []
        self.running = []

    def __call__(self, _checkpoint):
        return self

    def add(self, progress):
        self.running.append(progress)
        self.order.append(progress.series)
        self.reached.put(progress.series)

    def turn(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            ended = [progress for progress in self.running if progress.stop.cause is not None]
            for progress in ended:
                progress.end(Stopped(progress.stop.cause))
            if not ended:
                try:
                    outcome = self.outcomes.get(timeout=0.002)
                except queue.Empty:
                    # The worker may have others to admit.
                    return Turn([], [])
                ended = self.running[:1]
                ended[0].end(self.result(outcome, ended[0].series))
            self.running = [progress for progress in self.running if progress not in ended]
            return Turn(ended, [Call("draw", len(ended), 0.001)])
        raise TimeoutError("nobody told the model what to do")

    def result(self, outcome, series):
        try:
            if isinstance(outcome, Exception):
                raise outcome
            if callable(outcome):
                outcome()
        except Exception as error:
            return classify(error)
        return Forecast(np.full((1, 1, 6), float(series.horizon)), {})

    def next(self):
        return self.reached.get(timeout=PATIENCE)


@dataclass
class Seen:
    waits: list
    stages: list
    steps: list
    candles: list

    def queue_wait(self, seconds):
        self.waits.append(seconds)

    def stage(self, name, seconds):
        self.stages.append((name, seconds))

    def step(self, rows):
        self.steps.append(rows)

    def first_candle(self, seconds):
        self.candles.append(seconds)

    def candle(self, seconds):
        self.candles.append(seconds)


@pytest.fixture
def model(monkeypatch):
    model = Model()
    monkeypatch.setattr(worker, "Scheduler", model)
    monkeypatch.setattr(worker, "Progress", Ended)
    return model


@pytest.fixture
def seen():
    return Seen([], [], [], [])


def start(waiting, rows=1, observer=None, **limits):
    checkpoint = SimpleNamespace(max_context=512, position_bytes=1)
    return Worker(checkpoint, Limits(waiting=waiting, rows=rows, **limits), observer)


@pytest.fixture
def busy(model, seen):
    """A worker with four places, and one series in the model at a time."""
    assert worker.Scheduler is model
    busy = start(4, observer=seen)
    yield busy
    busy.close("end of test")
    assert not busy._thread.is_alive()


@pytest.fixture
def numbered(make_series):
    """Series told apart by their horizon."""
    return lambda *horizons: [make_series(5, horizon) for horizon in horizons]


def horizons(job) -> list[float]:
    return [result.paths[0, 0, 0] for result in job.future.result(PATIENCE)]


def stopped_by(job) -> str:
    with pytest.raises(Stopped) as raised:
        job.future.result(PATIENCE)
    return raised.value.cause


def test_the_series_of_a_job_are_forecast_in_order(busy, model, numbered):
    first, second = busy.submit(numbered(1, 2)), busy.submit(numbered(3))
    for _ in range(3):
        model.outcomes.put(None)

    assert horizons(first) == [1, 2]
    assert horizons(second) == [3]


def test_callers_take_turns_and_so_do_their_jobs(model, numbered):
    fair = start(64)
    jobs = [fair.submit(numbered(99), "first")]
    model.next()
    jobs += [fair.submit(numbered(10, 11, 12, 13), "batch"), fair.submit(numbered(14), "batch")]
    jobs += [fair.submit(numbered(20), "single"), fair.submit(numbered(30, 31), "other")]
    for _ in range(9):
        model.outcomes.put(None)
    wait([job.future for job in jobs], PATIENCE)
    fair.close("end of test")

    assert [series.horizon for series in model.order] == [99, 10, 20, 30, 14, 11, 31, 12, 13]


def test_a_caller_with_series_waiting_leaves_places_to_the_others(model, numbered):
    roomy = start(16)
    roomy.submit(numbered(1), "greedy")
    model.next()
    roomy.submit(numbered(*range(2, 16)), "greedy")

    with pytest.raises(QueueFull, match="14 of 16 places are taken, 2 are kept for other callers, and 1") as raised:
        roomy.submit(numbered(16), "greedy")
    assert raised.value.reserved == 2
    with pytest.raises(QueueFull):
        roomy.check_room(1, "greedy")
    roomy.check_room(2, "modest")
    roomy.submit(numbered(17, 18), "modest")
    with pytest.raises(QueueFull, match="16 of 16"):
        roomy.submit(numbered(19), "third")
    roomy.close("end of test")


def test_whoever_is_refused_hears_when_there_will_be_room(busy, model, numbered):
    with pytest.raises(QueueFull) as raised:
        busy.check_room(5)
    assert raised.value.retry_seconds == 0, "nothing was measured yet"
    started = time.perf_counter()
    for _ in range(3):
        job = busy.submit(numbered(1))
        model.next()
        time.sleep(0.1)
        model.outcomes.put(None)
        job.future.result(PATIENCE)
    busy.submit(numbered(1))
    model.next()
    busy.submit(numbered(2, 3, 4))

    with pytest.raises(QueueFull) as raised:
        busy.check_room(3)

    elapsed = time.perf_counter() - started
    assert 0.2 <= raised.value.retry_seconds <= 2 * elapsed, "two places too few, at a tenth of a second each"
    time.sleep(0.5)
    with pytest.raises(QueueFull) as later:
        busy.check_room(3)
    assert later.value.retry_seconds > raised.value.retry_seconds, "the series in the model takes longer"


def test_what_is_told_of_a_series_is_told_in_the_context_of_whoever_submitted_it(model, numbered):
    heard = []

    class Listening(NullObserver):
        def queue_wait(self, seconds):
            assert seconds > 0
            heard.append(("enters", REQUEST.get()))

        def stage(self, name, seconds):
            heard.append((name, REQUEST.get(), seconds))

    listening = start(4, rows=2, observer=Listening())
    jobs = []
    for name in ("one", "two"):
        token = REQUEST.set(name)
        jobs.append(listening.submit(numbered(1)))
        REQUEST.reset(token)
        model.next()
    for job in jobs:
        model.outcomes.put(None)
        job.future.result(PATIENCE)
    listening.close("end of test")
    assert heard == [("enters", "one"), ("enters", "two"), ("decode", "one", 0.5), ("decode", "two", 0.5)]


def test_the_series_in_the_model_takes_no_place(busy, model, numbered):
    assert (busy.depth, busy.running) == (0, 0)
    busy.submit(numbered(1, 2))
    model.next()
    assert busy.depth == 1

    busy.submit(numbered(3, 4, 5))
    assert busy.depth == 4


def test_a_job_is_admitted_whole_or_not_at_all(busy, model, numbered):
    busy.submit(numbered(1))
    model.next()
    busy.submit(numbered(2, 3))

    with pytest.raises(QueueFull, match="2 of 4 places are taken and 3 were asked for; try again later") as raised:
        busy.submit(numbered(4, 5, 6))

    assert (raised.value.depth, raised.value.capacity, raised.value.asked) == (2, 4, 3)
    assert busy.depth == 2
    busy.submit(numbered(7, 8))


def test_a_job_that_can_never_be_admitted_is_told_so(busy, numbered):
    with pytest.raises(QueueFull, match="ask for fewer series"):
        busy.submit(numbered(1, 2, 3, 4, 5))


def test_a_job_needs_a_series(busy):
    with pytest.raises(ForecastInvalid, match="at least one"):
        busy.submit([])


def test_a_queue_needs_a_place():
    with pytest.raises(ValueError, match="at least one"):
        start(0)


def test_stage_and_times_of_a_job(busy, model, numbered):
    running, waiting = busy.submit(numbered(1, 2)), busy.submit(numbered(3))
    model.next()
    waited = running.queue_seconds
    time.sleep(0.02)

    assert (running.stage, waiting.stage) == ("inference", "queue")
    assert running.queue_seconds == waited
    assert running.inference_seconds >= 0.02
    assert waiting.queue_seconds >= 0.02
    assert waiting.inference_seconds == 0

    time.sleep(0.02)
    model.outcomes.put(None)
    model.next()
    time.sleep(0.02)
    for _ in range(2):
        model.outcomes.put(None)
    wait([running.future, waiting.future], PATIENCE)
    assert (running.stage, waiting.stage) == ("inference", "inference")
    assert running.queue_seconds > waited, "its second series waited for its turn"
    times = running.queue_seconds, running.inference_seconds, waiting.queue_seconds
    time.sleep(0.01)
    assert times == (running.queue_seconds, running.inference_seconds, waiting.queue_seconds)


def test_the_observer_is_told_once_per_series(busy, model, seen, numbered):
    job = busy.submit(numbered(1, 2))
    model.next()
    time.sleep(0.02)
    for _ in range(2):
        model.outcomes.put(None)
    job.future.result(PATIENCE)

    assert len(seen.waits) == 2
    assert seen.waits[0] + 0.02 <= seen.waits[1]
    assert seen.steps == [1, 1]
    assert seen.candles == [0.1, 0.1]
    assert seen.stages == [("decode", 0.5)] * 2
    assert job.stages == {"decode": StageTime(10.0, 10.5, 1.0, 10)}


# Cancelling


def test_cancelling_in_the_queue_frees_its_places_at_once(busy, model, seen, numbered):
    running = busy.submit(numbered(1))
    model.next()
    waiting, other = busy.submit(numbered(2, 3)), busy.submit(numbered(4))

    waiting.cancel("timeout")

    assert waiting.future.done()
    assert stopped_by(waiting) == "timeout"
    assert waiting.stage == "queue"
    assert busy.depth == 1
    model.outcomes.put(None)
    model.outcomes.put(None)
    assert (horizons(running), horizons(other)) == ([1], [4])
    assert len(seen.waits) == 4, "those who gave up have waited, too"


def test_cancelling_in_the_model_stops_it_and_drops_the_rest(busy, model, numbered):
    job, other = busy.submit(numbered(1, 2, 3)), busy.submit(numbered(4))
    model.next()

    job.cancel("client_disconnect")

    assert busy.depth == 1
    assert stopped_by(job) == "client_disconnect"
    assert job.stage == "inference"
    model.outcomes.put(None)
    assert horizons(other) == [4]
    assert [series.horizon for series in model.order] == [1, 4]


def test_the_first_cause_stands(busy, model, numbered):
    busy.submit(numbered(1))
    model.next()
    job = busy.submit(numbered(2))

    job.cancel("timeout")
    job.cancel("shutdown")

    assert stopped_by(job) == "timeout"


def test_cancelling_what_is_done_changes_nothing(busy, model, numbered):
    job = busy.submit(numbered(1))
    model.outcomes.put(None)
    job.future.result(PATIENCE)

    job.cancel("timeout")

    assert horizons(job) == [1]


def test_cancelling_beats_a_result_that_comes_at_the_same_time(busy, model, numbered):
    job = busy.submit(numbered(1))
    model.outcomes.put(lambda: job.cancel("timeout"))

    assert stopped_by(job) == "timeout"


def test_cancelling_between_two_series_of_a_job(busy, model, numbered, monkeypatch):
    settle = busy._settle

    def settle_and_cancel(piece, *rest):
        settle(piece, *rest)
        piece.job.cancel("timeout")

    monkeypatch.setattr(busy, "_settle", settle_and_cancel)
    job = busy.submit(numbered(1, 2))
    model.outcomes.put(None)

    assert stopped_by(job) == "timeout"
    assert busy.depth == 0


def test_the_future_cannot_be_cancelled_on_its_own(busy, model, numbered):
    job = busy.submit(numbered(1))

    assert not job.future.cancel()

    model.outcomes.put(None)
    assert horizons(job) == [1]


def test_a_callback_may_use_the_worker(busy, model, numbered):
    jobs = []
    first = busy.submit(numbered(1))
    first.future.add_done_callback(lambda _: jobs.append(busy.submit(numbered(2))))
    for _ in range(2):
        model.outcomes.put(None)

    assert horizons(first) == [1]
    model.next()
    model.next()
    assert horizons(jobs[0]) == [2]


# Failures


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (ValueError("odd"), InferenceError, "ValueError: odd"),
        (RuntimeError("shapes"), InferenceError, "RuntimeError: shapes"),
        (MemoryError(), OutOfMemory, "memory ran out"),
        (torch.OutOfMemoryError("CUDA out of memory"), OutOfMemory, "CUDA out of memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), OutOfMemory, "allocate"),
        (InvalidOutput("not finite"), InvalidOutput, "not finite"),
    ],
)
def test_a_failure_is_its_jobs_alone(busy, model, numbered, error, expected, message):
    job, other = busy.submit(numbered(1, 2)), busy.submit(numbered(3))
    model.outcomes.put(error)

    with pytest.raises(expected, match=message) as raised:
        job.future.result(PATIENCE)

    assert error in (raised.value, raised.value.__cause__)
    model.outcomes.put(None)
    assert horizons(other) == [3]
    assert [series.horizon for series in model.order] == [1, 3], "the rest of a failed job is not forecast"


def test_the_allocators_own_message_is_recognised(busy, model, numbered):
    job = busy.submit(numbered(1))
    model.outcomes.put(lambda: torch.empty(2**50))

    with pytest.raises(OutOfMemory):
        job.future.result(PATIENCE)


def test_an_observer_that_fails_disturbs_nothing_and_is_logged(model, numbered, caplog):
    class Broken(NullObserver):
        def queue_wait(self, seconds):
            raise ZeroDivisionError(seconds)

    broken = start(2, observer=Broken())
    for _ in range(2):
        job = broken.submit(numbered(1))
        model.outcomes.put(None)
        assert horizons(job) == [1]
    assert [record.message for record in caplog.records] == ["an observer failed"] * 2
    broken.close("end of test")


# Closing


def test_closing_stops_everything_and_waits(busy, model, numbered):
    running, waiting = busy.submit(numbered(1, 2)), busy.submit(numbered(3))
    model.next()

    busy.close("shutdown")

    assert running.future.done()
    assert waiting.future.done()
    assert (stopped_by(running), stopped_by(waiting)) == ("shutdown", "shutdown")
    assert not busy._thread.is_alive()
    assert busy.depth == 0
    with pytest.raises(NotReady, match="closed: shutdown"):
        busy.submit(numbered(4))


def test_closing_twice_or_idle_is_fine(busy):
    busy.close("shutdown")
    busy.close("again")


def test_closing_from_a_callback_does_not_wait_for_itself(busy, model, numbered):
    job = busy.submit(numbered(1))
    closed = threading.Event()
    job.future.add_done_callback(lambda _: (busy.close("shutdown"), closed.set()))
    model.outcomes.put(None)

    assert closed.wait(PATIENCE)


def test_nothing_is_lost_when_many_submit_and_cancel_at_once(model, make_series):
    seen = Seen([], [], [], [])
    crowded = start(64, rows=3, observer=seen)
    jobs, refused = [], []
    over = threading.Event()

    def submit_many(seed):
        random = np.random.default_rng(seed)
        for _ in range(150):
            try:
                job = crowded.submit([make_series(2, 1)] * int(random.integers(1, 4)))
            except QueueFull:
                refused.append(1)
                continue
            jobs.append(job)
            model.outcomes.put(None)
            if random.random() < 0.5:
                job.cancel("timeout")

    def go_on():
        while not over.wait(0.001):
            if model.outcomes.empty():
                model.outcomes.put(None)

    threads = [threading.Thread(target=submit_many, args=(seed,)) for seed in range(4)]
    helper = threading.Thread(target=go_on)
    for thread in (*threads, helper):
        thread.start()
    for thread in threads:
        thread.join()

    done, pending = wait([job.future for job in jobs], PATIENCE)
    crowded.close("end of test")
    over.set()
    helper.join()
    assert not pending
    finished = [future.result() for future in done if future.exception() is None]
    assert all(isinstance(future.exception(), Stopped | None) for future in done)
    assert sum(map(len, finished)) <= len(seen.waits) <= sum(len(job.series) for job in jobs)
    assert len(done) + len(refused) == 600
    assert (crowded.depth, crowded.running, crowded.positions) == (0, 0, 0)


# What fits into the model at once


def test_series_join_and_leave_while_others_go_on(model, numbered):
    together = start(16, rows=3)
    jobs = [together.submit(numbered(horizon), f"caller {horizon}") for horizon in (1, 2, 3, 4)]
    for _ in range(3):
        model.next()

    assert (together.running, together.depth) == (3, 1)
    assert [job.stage for job in jobs] == ["inference"] * 3 + ["queue"]
    model.outcomes.put(None)
    assert model.next().horizon == 4
    for _ in range(3):
        model.outcomes.put(None)
    assert [horizons(job) for job in jobs] == [[1], [2], [3], [4]]
    together.close("end of test")


def test_a_series_with_too_many_samples_or_positions_runs_alone(model, make_series):
    picky = start(16, rows=4, cache_bytes=100)
    picky.submit([make_series(5, 1)], "first")
    model.next()
    picky.submit([make_series(5, 2, samples=9), make_series(400, 3), make_series(5, 4)], "second")
    for horizon, positions in ((2, 9 * 6), (3, 402), (4, 8)):
        model.outcomes.put(None)
        assert model.next().horizon == horizon
        assert (picky.running, picky.positions) == (1, positions)
    assert picky.position_limit == 100
    picky.close("end of test")


def test_a_caller_in_the_model_leaves_a_place_to_the_others(model, numbered):
    roomy = start(32, rows=8)
    greedy = roomy.submit(numbered(*range(1, 11)), "greedy")
    for _ in range(7):
        model.next()
    assert (roomy.running, roomy.depth) == (7, 3)

    roomy.submit(numbered(99), "modest")

    assert model.next().horizon == 99
    roomy.close("end of test")
    assert stopped_by(greedy) == "end of test"


def test_a_job_that_fails_takes_its_other_series_out_of_the_model(model, numbered):
    together = start(16, rows=4)
    job = together.submit(numbered(1, 2, 3))
    for _ in range(3):
        model.next()
    model.outcomes.put(ValueError("odd"))

    with pytest.raises(InferenceError):
        job.future.result(PATIENCE)
    other = together.submit(numbered(4))
    model.outcomes.put(None)
    assert horizons(other) == [4]
    assert together.running == 0
    together.close("end of test")


def test_work_beyond_the_time_limit_is_refused_with_the_numbers(demo, make_series):
    real = Worker(demo, Limits(seconds=30))
    real.submit([make_series(40, 10)]).future.result(PATIENCE)

    with pytest.raises(TooMuchWork, match=r"takes about \d+ s of the model, and 30 s are allowed") as raised:
        real.submit([make_series(40, 10_000_000 // 64)] * 512)

    assert raised.value.seconds > raised.value.limit == 30
    assert real.depth == 0
    real.submit([make_series(40, 10)]).future.result(PATIENCE)
    real.close("end of test")


def test_refusals_end_once_the_model_is_fast_again():
    pace, work = Pace(), Work(read=1000)
    pace.took("prefill", 100, 1.0)
    assert pace.seconds(work) == pytest.approx(10)

    for _ in range(100):
        pace.relax()

    assert pace.seconds(work) < 1
    assert Pace().seconds(work) == 0, "nothing was measured yet"


# With the real model


def test_a_series_is_forecast_the_same_alone_and_among_others(demo, make_series):
    series = make_series(20, 5, seed=3)
    alone = forecast(demo, series).paths
    real = Worker(demo, Limits())

    jobs = [real.submit([make_series(30, 2), series, make_series(10, 8, seed=9)]) for _ in range(3)]

    for job in jobs:
        np.testing.assert_allclose(job.future.result(PATIENCE)[1].paths, alone, rtol=1e-5)
    real.close("end of test")


def test_cancelling_a_long_decode_strikes_soon(demo, make_series):
    real = Worker(demo, Limits())
    job = real.submit([make_series(20, 100_000)])
    while job.stage == "queue":
        time.sleep(0.001)

    job.cancel("timeout")

    with pytest.raises(Stopped):
        job.future.result(PATIENCE)
    real.close("end of test")
