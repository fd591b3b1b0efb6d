"""Starting, loading, draining, stopping: processes and signals."""

from __future__ import annotations

import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from kronos_service.forecaster import DEMO_MODEL, DEMO_TOKENIZER
from tests.service.server import HANGING_SECONDS, SINGLE, Server, connect, heavy, send, series, wait_until


def in_the_model(running: Server) -> None:
    """Wait until the model works on something; needs the log level debug."""
    wait_until(lambda: bool(running.logged("series started")))


def waits_for_the_model(running: Server) -> None:
    wait_until(lambda: running.value("kronos_queue_depth") == 1)


def test_a_model_that_is_missing_and_then_damaged_is_loaded_without_a_restart(tmp_path: Path):
    settings = {"model": "model", "tokenizer": "tokenizer", "load_retry_seconds": 0.3}
    with Server(tmp_path, wait="/v1/healthz", **settings) as running:
        ready = running.client.get("/v1/readyz")
        assert ready.status_code == 503
        assert int(ready.headers["retry-after"]) >= 1
        refused = running.post(SINGLE, series())
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:kronos:problem:not-ready"
        assert int(refused.headers["retry-after"]) >= 1
        wait_until(lambda: running.value("kronos_model_loads_total", outcome="not_found") > 0)
        assert "could not be loaded" in running.client.get("/v1/readyz").json()["detail"]
        assert running.value("kronos_model_ready") == 0
        assert running.value("kronos_rejections_total", reason="not_ready") == 1
        assert running.value("kronos_requests_total", route=SINGLE, status="unavailable") == 1
        assert running.total("kronos_request_duration_seconds_count") == 0
        assert not any(name == "kronos_model_info" for name, _ in running.samples())
        assert running.client.get("/v1/info").json()["model"] is None

        shutil.copytree(DEMO_TOKENIZER, tmp_path / "tokenizer")
        model = shutil.copytree(DEMO_MODEL, tmp_path / "copied")
        good = (model / "model.safetensors").read_bytes()
        (model / "model.safetensors").write_bytes(b"damaged")
        model.rename(tmp_path / "model")
        wait_until(lambda: running.value("kronos_model_loads_total", outcome="invalid") > 0)
        assert running.client.get("/v1/readyz").status_code == 503
        assert running.client.get("/v1/healthz").status_code == 200

        (tmp_path / "good").write_bytes(good)
        (tmp_path / "good").rename(tmp_path / "model" / "model.safetensors")
        wait_until(lambda: running.client.get("/v1/readyz").status_code == 200)
        assert running.post(SINGLE, series()).json()["model_version"].startswith("model@")
        assert running.value("kronos_model_ready") == 1
        assert running.value("kronos_model_loads_total", outcome="success") == 1
        assert running.value("kronos_model_load_seconds") > 0
        assert running.total("kronos_model_info", model="model", device="cpu") == 1
    (failure,) = running.logged("model not loaded")[:1]
    assert failure["outcome"] == "not_found"
    assert "tokenizer" in failure["reason"]


def test_a_drain_answers_on_finishes_what_is_admitted_and_exits_0(tmp_path: Path):
    # The drain has to last until one request is answered; what is admitted, until the test lets go of the model.
    settings = {"drain_seconds": 2, "shutdown_seconds": 3600, "time_limit_seconds": 300, "log_level": "debug"}
    with Server(tmp_path, **settings) as running, ThreadPoolExecutor(1) as pool, connect(running) as blocking:
        send(blocking, heavy())
        in_the_model(running)
        waiting = pool.submit(running.post, SINGLE, series())
        waits_for_the_model(running)
        running.process.send_signal(signal.SIGTERM)
        wait_until(lambda: bool(running.logged("draining")))
        invalid = running.post(SINGLE, {})
        assert invalid.status_code == 422  # taken, and answered
        assert invalid.headers["connection"] == "close"
        assert running.client.get("/v1/readyz").json()["type"] == "urn:kronos:problem:draining"
        assert running.value("kronos_draining") == 1
        assert running.value("kronos_model_ready") == 1

        wait_until(lambda: bool(running.logged("finishing")))
        refused = running.post(SINGLE, series())
        assert refused.json()["type"] == "urn:kronos:problem:draining"
        assert int(refused.headers["retry-after"]) >= 1
        assert running.client.get("/v1/healthz").status_code == 200
        assert running.client.get("/v1/readyz").status_code == 503
        assert running.value("kronos_rejections_total", reason="draining") == 1
        assert running.value("kronos_concurrent_requests", route=SINGLE) == 2

        blocking.close()
        assert waiting.result().status_code == 200
        assert running.process.wait(HANGING_SECONDS) == 0
    assert running.logged("stopped")[0]["exit_code"] == 0


def test_a_second_signal_stops_now(tmp_path: Path):
    settings = {"drain_seconds": 3600, "time_limit_seconds": 300, "log_level": "debug"}
    with Server(tmp_path, **settings) as running, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(running.post, SINGLE, heavy())
        in_the_model(running)
        running.process.send_signal(signal.SIGTERM)
        wait_until(lambda: bool(running.logged("draining")))
        running.process.send_signal(signal.SIGTERM)
        assert answer.result().status_code == 503
        assert answer.result().json()["type"] == "urn:kronos:problem:stopped"
        assert running.process.wait(HANGING_SECONDS) == 128 + signal.SIGTERM
    (line,) = running.logged("request")
    assert line["status"] == "unavailable"
    assert "Traceback" not in running.log_file.read_text()


def test_what_is_not_done_by_the_deadline_is_stopped_and_can_be_scraped_until_the_end(tmp_path: Path):
    settings = {"metrics_port": 0, "shutdown_seconds": 0.2, "time_limit_seconds": 300, "log_level": "debug"}
    with Server(tmp_path, **settings) as running, ThreadPoolExecutor(2) as pool:
        scrape = f"http://127.0.0.1:{running.logged('starting')[0]['metrics_port']}/v1/metrics"
        blocking = pool.submit(running.post, SINGLE, heavy())
        in_the_model(running)
        waiting = pool.submit(running.post, SINGLE, series())
        wait_until(lambda: "kronos_queue_depth 1.0" in httpx.get(scrape).text)
        running.process.send_signal(signal.SIGTERM)
        seen = ""
        while running.process.poll() is None:
            try:
                seen = httpx.get(scrape, timeout=HANGING_SECONDS).text
            except httpx.TransportError:
                break
        for answer in (blocking.result(), waiting.result()):
            assert answer.status_code == 503
            assert answer.json()["type"] == "urn:kronos:problem:stopped"
        assert running.process.wait(HANGING_SECONDS) == 0
    # The address of the scrape is the last to go.
    assert 'kronos_cancellations_total{cause="shutdown"} 2.0' in seen
    assert f'kronos_requests_total{{route="{SINGLE}",status="unavailable"}} 2.0' in seen
    stopped = [line for line in running.logged("request") if line.get("cancelled") == "shutdown"]
    assert [line["status"] for line in stopped] == ["unavailable"] * 2
    assert running.logged("stopping what is not done")[0]["running"] == 2
    assert running.logged("stopped")[0]["exit_code"] == 0
    assert "Traceback" not in running.log_file.read_text()
