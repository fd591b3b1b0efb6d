"""Starting, loading, draining, stopping: processes and signals."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from kronos_service.forecaster import write_demo_checkpoint
from tests.service.server import SINGLE, Server, free_port, heavy, series, wait_until


def test_a_model_that_comes_later_is_found_without_a_restart(tmp_path: Path):
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

        model, tokenizer = write_demo_checkpoint(tmp_path / "written")
        tokenizer.rename(tmp_path / "tokenizer")
        model.rename(tmp_path / "model")
        wait_until(lambda: running.client.get("/v1/readyz").status_code == 200)
        assert running.post(SINGLE, series()).json()["model_version"] == "model"
        assert running.value("kronos_model_ready") == 1
        assert running.value("kronos_model_loads_total", outcome="success") == 1
        assert running.value("kronos_model_load_seconds") > 0
        assert running.total("kronos_model_info", model="model", revision="local", device="cpu") == 1
    (failure,) = running.logged("model not loaded")[:1]
    assert failure["outcome"] == "not_found"
    assert "tokenizer" in failure["reason"]


def test_a_damaged_model_leaves_the_process_alive(tmp_path: Path):
    model, tokenizer = write_demo_checkpoint(tmp_path)
    (model / "model.safetensors").write_bytes(b"damaged")
    with Server(tmp_path, wait="/v1/healthz", model=model, tokenizer=tokenizer) as running:
        wait_until(lambda: running.value("kronos_model_loads_total", outcome="invalid") > 0)
        assert running.client.get("/v1/readyz").status_code == 503
        assert running.client.get("/v1/healthz").status_code == 200
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(10) == 0


def test_a_drain_answers_on_finishes_what_is_admitted_and_exits_0(tmp_path: Path):
    with Server(tmp_path, drain_seconds=1, time_limit_seconds=2.5) as running, ThreadPoolExecutor(2) as pool:
        # The first keeps the model busy until its time limit, well after the drain; the second waits for it.
        blocking = pool.submit(running.post, SINGLE, heavy())
        time.sleep(0.5)
        waiting = pool.submit(running.post, SINGLE, series())
        time.sleep(0.2)
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        assert running.client.get("/v1/readyz").json()["type"] == "urn:kronos:problem:draining"
        assert running.value("kronos_draining") == 1
        assert running.value("kronos_model_ready") == 1
        assert running.client.get("/v1/healthz").status_code == 200
        invalid = running.post(SINGLE, {})
        assert invalid.status_code == 422  # taken, and answered
        assert invalid.headers["connection"] == "close"
        assert blocking.result().status_code == 504
        assert waiting.result().status_code == 200
        assert running.process.wait(10) == 0
    assert running.logged("stopped")[0]["exit_code"] == 0


def test_a_second_signal_stops_now(tmp_path: Path):
    with Server(tmp_path, drain_seconds=60) as running:
        answers: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: answers.append(running.post(SINGLE, heavy())))
        thread.start()
        time.sleep(1)
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        started = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        thread.join()
        assert answers[0].status_code == 503
        assert answers[0].json()["type"] == "urn:kronos:problem:stopped"
        assert running.process.wait(10) == 128 + signal.SIGTERM
        assert time.monotonic() - started < 5
    (line,) = running.logged("request")
    assert line["status"] == "unavailable"
    assert "Traceback" not in running.log_file.read_text()


def test_what_is_not_done_by_the_deadline_is_stopped_and_can_be_scraped_until_then(tmp_path: Path):
    settings = {"drain_seconds": 0.5, "shutdown_seconds": 5, "time_limit_seconds": 100, "log_level": "debug"}
    with Server(tmp_path, metrics_port=free_port("127.0.0.1"), **settings) as running, ThreadPoolExecutor(3) as pool:
        blocking = pool.submit(running.post, SINGLE, heavy())
        wait_until(lambda: bool(running.logged("series started")))
        waiting = pool.submit(running.post, SINGLE, series())
        scrape = f"http://127.0.0.1:{running.logged('starting')[0]['metrics_port']}/v1/metrics"
        wait_until(lambda: "kronos_queue_depth 1.0" in httpx.get(scrape).text)
        started = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        # After the drain: nothing new is taken, probes and scrapes go on over new connections.
        refused = httpx.post(f"{running.url}{SINGLE}", json=series())
        assert refused.json()["type"] == "urn:kronos:problem:draining"
        assert int(refused.headers["retry-after"]) >= 1
        assert httpx.get(f"{running.url}/v1/healthz").status_code == 200
        assert httpx.get(f"{running.url}/v1/readyz").status_code == 503
        for answer in (blocking.result(), waiting.result()):
            assert answer.status_code == 503
            assert answer.json()["type"] == "urn:kronos:problem:stopped"
        assert 5.5 < time.monotonic() - started < 15
        seen = ""
        while running.process.poll() is None:
            try:
                seen = httpx.get(scrape, timeout=1).text
            except httpx.TransportError:
                break
        assert running.process.wait(10) == 0
    # The address of the scrape is the last to go.
    assert 'kronos_rejections_total{reason="draining"} 1.0' in seen
    assert 'kronos_cancellations_total{cause="shutdown"} 2.0' in seen
    assert f'kronos_requests_total{{route="{SINGLE}",status="unavailable"}} 3.0' in seen
    stopped = [line for line in running.logged("request") if line.get("cancelled") == "shutdown"]
    assert [line["status"] for line in stopped] == ["unavailable"] * 2
    assert running.logged("stopping what is not done")[0]["running"] == 2
    assert running.logged("stopped")[0]["exit_code"] == 0
    assert "Traceback" not in running.log_file.read_text()
