import re
import threading

import numpy as np
import pytest
import torch

from kronos_service.forecaster import (
    CheckpointInvalid,
    CheckpointNotFound,
    Forecaster,
    InferenceError,
    InvalidOutput,
    Limits,
    ModelInfo,
    NotReady,
    NullObserver,
    OutOfMemory,
    QueueFull,
    Stopped,
    forecast,
    forecaster,
)


@pytest.fixture
def held():
    held = Forecaster(Limits(waiting=3), threads=1)
    yield held
    held.close("end of test")


def load_demo(held, demo_folders):
    held.load(*map(str, demo_folders), max_context=64)


def test_before_a_load(held, make_series):
    assert (held.ready, held.info, held.depth, held.capacity) == (False, None, 0, 3)
    with pytest.raises(NotReady, match="no model is loaded yet"):
        held.submit([make_series()])


def test_after_a_load(held, demo, demo_folders, make_series):
    load_demo(held, demo_folders)

    assert held.ready
    assert held.info == ModelInfo(
        model_name="demo",
        tokenizer_name="demo-tokenizer",
        revision=demo.revision,
        tokenizer_revision=demo.tokenizer_revision,
        device="cpu",
        dtype="float32",
        max_context=64,
        max_context_from="setting",
        precision="float64",
        parameters=demo.parameters,
    )
    series = make_series(seed=1)
    (result,) = held.submit([series]).future.result(10)
    assert np.array_equal(result.paths, forecast(demo, series).paths)
    with pytest.raises(QueueFull):
        held.submit([series] * 4)


def test_a_load_may_be_tried_again(held, demo_folders):
    with pytest.raises(CheckpointNotFound):
        held.load("/nowhere", str(demo_folders[1]))
    assert not held.ready

    load_demo(held, demo_folders)
    assert held.ready


def test_a_second_checkpoint_is_refused(held, demo_folders):
    load_demo(held, demo_folders)

    with pytest.raises(RuntimeError, match="loaded already"):
        load_demo(held, demo_folders)
    assert held.ready


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InvalidOutput("not finite"), CheckpointInvalid),
        (MemoryError(), OutOfMemory),
        (KeyError("odd"), InferenceError),
    ],
)
def test_it_is_not_ready_before_a_real_forecast(held, demo_folders, monkeypatch, error, expected):
    def fail(*_args, **_options):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(forecaster, "forecast", fail)
        with pytest.raises(expected) as raised:
            load_demo(held, demo_folders)
        assert raised.value.__cause__ is error
    assert not held.ready
    load_demo(held, demo_folders)


def test_the_observer_hears_of_requests_and_not_of_the_warm_up(demo_folders, make_series):
    heard = []

    class Listening(NullObserver):
        def stage(self, name, seconds):
            heard.append((name, seconds > 0))

    held = Forecaster(Limits(waiting=3), threads=1, observer=Listening())
    load_demo(held, demo_folders)
    assert not heard
    held.submit([make_series()]).future.result(10)
    held.close("end of test")
    assert heard == [(name, True) for name in ("tokenize", "prefill", "decode", "detokenize")]


def test_closing(held, demo_folders, make_series):
    load_demo(held, demo_folders)
    job = held.submit([make_series(20, 100_000)])

    held.close("shutdown")

    with pytest.raises(Stopped, match="shutdown"):
        job.future.result(0)
    assert (held.ready, held.info, held.depth) == (False, None, 0)
    with pytest.raises(NotReady, match="closed: shutdown"):
        held.submit([make_series()])
    with pytest.raises(Stopped, match="shutdown"):
        held.load("/nowhere", "/nowhere")


def test_closing_stops_a_load(held, demo_folders, monkeypatch):
    load_checkpoint = forecaster.load_checkpoint
    loading, go_on, outcome = threading.Event(), threading.Event(), []

    def slow(*args, **options):
        loading.set()
        go_on.wait(120)
        return load_checkpoint(*args, **options)

    def run():
        try:
            load_demo(held, demo_folders)
        except Stopped as stopped:
            outcome.append(stopped.cause)

    monkeypatch.setattr(forecaster, "load_checkpoint", slow)
    thread = threading.Thread(target=run)
    thread.start()
    assert loading.wait(120)

    held.close("shutdown")
    go_on.set()
    thread.join(10)

    assert outcome == ["shutdown"]
    assert not held.ready


def test_closing_right_after_the_warm_up_starts_no_worker(held, demo_folders, monkeypatch):
    monkeypatch.setattr(forecaster, "_warm_up", lambda *_: held.close("shutdown"))

    with pytest.raises(Stopped):
        load_demo(held, demo_folders)
    assert not held.ready


def test_the_worker_computes_with_the_threads_asked_for(demo_folders, make_series):
    counted = []

    class Counting(NullObserver):
        def step(self, rows):
            counted.append((torch.get_num_threads(), rows))

    held = Forecaster(Limits(waiting=3), threads=2, observer=Counting())
    try:
        load_demo(held, demo_folders)
        held.submit([make_series()]).future.result(10)
    finally:
        torch.set_num_threads(1)
        held.close("end of test")
    assert counted == [(2, 1)] * 4


def test_less_than_one_thread_is_refused():
    with pytest.raises(ValueError, match=re.escape("must be 1 or more")):
        Forecaster(Limits(), threads=0)
