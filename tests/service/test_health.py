"""A model that fails, or does not come back: what probes, metrics and callers are told."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from kronos_mixin.contract import load_contract
from kronos_mixin.drill.measures import SINGLE
from kronos_service.api.errors import Problem
from kronos_service.api.paths import HEALTH_PATH, READY_PATH
from kronos_service.forecaster import Forecaster, Limits, ModelFailed, QueueFull, scheduler
from kronos_service.lifecycle import Lifecycle
from kronos_service.settings import Settings
from kronos_service.telemetry.metrics import Metrics
from tests.service.server import HANGING_SECONDS, Server, series, wait_until

SICK = Path(__file__).parents[1] / "e2e" / "sick.py"


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    """Where the model reads that it shall `fail` or `hang`."""
    return tmp_path / "orders"


@pytest.fixture
def sick(tmp_path: Path, orders: Path) -> Iterator[Server]:
    settings = {"sick_failures": 3, "stuck_seconds": 0.5, "load_retry_seconds": 0.2, "time_limit_seconds": 2}
    with Server(tmp_path, program=(str(SICK), str(orders)), **settings) as running:
        yield running


def codes(server: Server) -> tuple[int, int]:
    return tuple(server.client.get(path).status_code for path in (HEALTH_PATH, READY_PATH))


def test_a_model_that_fails_is_not_ready_until_it_works_again(sick: Server, orders: Path):
    orders.write_text("fail")
    for _ in range(3):
        assert codes(sick) == (200, 200)
        assert sick.post(SINGLE, series()).status_code == 500

    wait_until(lambda: codes(sick) == (200, 503))
    assert sick.value("kronos_model_ready") == 0
    refused = sick.post(SINGLE, series())
    assert (refused.status_code, refused.json()["type"]) == (503, "urn:kronos:problem:not-ready")
    assert "failed" in refused.json()["detail"]

    orders.unlink()
    wait_until(lambda: codes(sick) == (200, 200))
    assert sick.value("kronos_model_ready") == 1
    assert sick.post(SINGLE, series()).status_code == 200


def test_a_model_that_works_for_others_stays_ready(sick: Server, orders: Path):
    orders.write_text("fail 400")
    for _ in range(6):
        assert sick.post(SINGLE, series(400)).status_code == 500
        assert codes(sick) == (200, 200)

    assert sick.post(SINGLE, series()).status_code == 200
    assert not sick.logged("model not working")


def test_a_model_that_hangs_is_neither_ready_nor_healthy(sick: Server, orders: Path):
    orders.write_text("hang")
    assert sick.post(SINGLE, series()).status_code == 504

    wait_until(lambda: codes(sick) == (503, 503))
    assert sick.value("kronos_model_ready") == 0
    assert sick.value("kronos_model_call_seconds") > 0.5
    assert sick.value("kronos_running_series") == 1, "it does not look idle"
    assert sick.post(SINGLE, series()).status_code == 503

    orders.unlink()
    wait_until(lambda: codes(sick) == (200, 200))
    assert sick.value("kronos_running_series") == 0
    assert sick.post(SINGLE, series()).status_code == 200


@pytest.fixture
def loaded() -> Iterator[tuple[Lifecycle, Forecaster]]:
    """The demo model, which is tried after two failures in a row, without a server around it."""
    settings = Settings(sick_failures=2, load_retry_seconds=1)
    forecaster = Forecaster(Limits(), threads=1)
    lifecycle = Lifecycle(settings, forecaster, Metrics(CollectorRegistry(), load_contract()))
    lifecycle.start()
    wait_until(lambda: not refused(lifecycle))
    yield lifecycle, forecaster
    lifecycle.stop()


def refused(lifecycle: Lifecycle) -> str:
    """Why the instance is not ready; empty if it is."""
    try:
        lifecycle.check_ready()
    except Problem as problem:
        return problem.detail
    return ""


def fail(*_):
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def fail_twice(forecaster: Forecaster) -> None:
    for _ in range(2):
        assert isinstance(forecaster.probe().future.exception(HANGING_SECONDS), ModelFailed)


def test_a_series_that_was_admitted_before_does_not_hide_the_recovery(loaded, monkeypatch):
    lifecycle, forecaster = loaded
    with monkeypatch.context() as broken:
        broken.setattr(scheduler, "encode", fail)
        fail_twice(forecaster)
        wait_until(lambda: "failed" in refused(lifecycle))

    # Its success ends the failures in a row, usually before the next try.
    assert forecaster.probe().future.result(HANGING_SECONDS)

    wait_until(lambda: not refused(lifecycle))


def test_a_full_queue_is_no_sickness(loaded, monkeypatch):
    lifecycle, forecaster = loaded
    tries = []

    def full():
        tries.append(1)
        raise QueueFull(4, 4, 1)

    with monkeypatch.context() as broken:
        broken.setattr(scheduler, "encode", fail)
        fail_soon = forecaster.probe
        broken.setattr(forecaster, "probe", full)
        for _ in range(2):
            assert isinstance(fail_soon().future.exception(HANGING_SECONDS), ModelFailed)
        wait_until(lambda: len(tries) > 1)

    assert not refused(lifecycle)
