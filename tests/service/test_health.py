"""A model that fails, or does not come back: what probes, metrics and callers are told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kronos_service.api.paths import HEALTH_PATH, READY_PATH
from proof.scene.story import SINGLE
from tests.service.server import Server, series, wait_until

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
