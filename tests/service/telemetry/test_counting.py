"""What clients saw and what the metrics say: the same, request by request."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from kronos_service.api.paths import UNCOUNTED_PATHS
from tests.service.server import BATCH, SINGLE, Server, heavy, series, wait_until

CAUSES = ("timeout", "client_disconnect")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with little room and little patience."""
    settings = {
        "queue_capacity": 2,
        "max_batch_items": 2,
        "time_limit_seconds": 2.5,
        "body_timeout_seconds": 1,
        "max_body_bytes": 400_000,
    }
    with Server(tmp_path_factory.mktemp("small"), **settings) as running:
        yield running


def connect(server: Server) -> socket.socket:
    address = urlsplit(server.url)
    return socket.create_connection((address.hostname, address.port), timeout=10)


def send_head(connection: socket.socket, path: str, length: int) -> None:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: kronos\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
    connection.sendall(head.encode())


def send(connection: socket.socket, body: Any, length: int | None = None, path: str = SINGLE) -> None:
    content = json.dumps(body).encode()
    send_head(connection, path, len(content) if length is None else length)
    connection.sendall(content)


def test_every_request_is_counted_once_as_the_client_saw_it(small: Server):
    seen: Counter[tuple[str, str]] = Counter()

    def post(status: str, body: Any, path: str = SINGLE, code: int = 200, **options: Any) -> httpx.Response:
        answer = small.client.post(path, json=body, **options)
        assert answer.status_code == code, answer.text
        seen[path if path in (SINGLE, BATCH) else "unmatched", status] += 1
        return answer

    for _ in range(3):
        post("success", series(8, 2))
    post("success", {"items": [series(8, 2), series(20, 5)]}, BATCH)
    post("invalid", {}, code=422)
    post("invalid", {"items": []}, BATCH, code=422)
    post("invalid", {}, "/v1/elsewhere", code=404)
    post("invalid", {}, code=415, headers={"Content-Encoding": "gzip"})
    post("too_large", series(8, series_id="x" * 400_000), code=413)
    assert small.client.get(SINGLE).status_code == 405
    seen[SINGLE, "invalid"] += 1

    # A client that leaves while the model works; the model must be free again shortly after.
    with connect(small) as connection:
        send(connection, heavy())
        wait_until(lambda: small.value("kronos_concurrent_requests", route=SINGLE) == 1)
        time.sleep(0.5)
    seen[SINGLE, "cancelled"] += 1
    wait_until(lambda: small.value("kronos_cancellations_total", cause="client_disconnect") == 1)
    # One that leaves before its body is complete.
    with connect(small) as connection:
        send(connection, {}, length=100, path=BATCH)
        time.sleep(0.2)
    seen[BATCH, "cancelled"] += 1
    wait_until(lambda: small.value("kronos_cancellations_total", cause="client_disconnect") == 2)
    # One that never completes its body.
    with connect(small) as connection:
        send(connection, {}, length=100)
        assert connection.recv(100).startswith(b"HTTP/1.1 408")
    seen[SINGLE, "invalid"] += 1

    # The model is busy until the time limit strikes, the queue is full, and more is refused at once.
    outcomes: list[int] = []
    threads = []
    for body, path in ((heavy(), SINGLE), ({"items": [series(8), series(8)]}, BATCH)):
        call = lambda path=path, body=body: outcomes.append(small.client.post(path, json=body).status_code)  # noqa: E731
        threads.append(threading.Thread(target=call))
        threads[-1].start()
        time.sleep(0.5)
    assert small.value("kronos_queue_depth") == 2
    answer = post("overloaded", series(8), code=503)
    assert answer.json()["type"] == "urn:kronos:problem:overloaded"
    assert int(answer.headers["retry-after"]) >= 1
    for thread in threads:
        thread.join()
    # The batch got its turn when the heavy request was stopped, at most one step of the model later.
    assert outcomes == [504, 200]
    seen[SINGLE, "timeout"] += 1
    seen[BATCH, "success"] += 1

    counted = {
        (dict(labels)["route"], dict(labels)["status"]): value
        for (name, labels), value in small.samples().items()
        if name == "kronos_requests_total" and value
    }
    assert counted == seen
    assert small.value("kronos_timeouts_total", route=SINGLE, stage="inference") == 1
    assert small.value("kronos_cancellations_total", cause="timeout") == 1
    rejections = {
        reason: small.value("kronos_rejections_total", reason=reason) for reason in ("queue_full", "too_large")
    }
    assert rejections == {"queue_full": 1, "too_large": 1}
    assert small.value("kronos_rejections_total", reason="unsupported_encoding") == 1
    assert small.total("kronos_errors_total") == 0
    assert small.total("kronos_concurrent_requests") == 0
    durations = {
        (dict(labels)["route"], dict(labels)["status"]): value
        for (name, labels), value in small.samples().items()
        if name == "kronos_request_duration_seconds_count" and value
    }
    admitted = {"success", "timeout", "cancelled", "error", "unavailable"}
    assert durations == {key: value for key, value in seen.items() if key[1] in admitted}
    # Every series that was admitted, with its size.
    assert small.value("kronos_prediction_input_candles_count", route=BATCH) == 4
    assert small.value("kronos_prediction_horizon_candles_sum", route=BATCH) == 2 + 5 + 3 + 3
    assert small.value("kronos_forecast_candles_total", route=SINGLE) == 6
    assert small.value("kronos_forecast_candles_total", route=BATCH) == 2 + 5 + 3 + 3
    assert small.value("kronos_processing_seconds_count", stage="postprocess") == 5


def test_a_request_that_waits_too_long_times_out_in_the_queue(small: Server):
    before = small.value("kronos_timeouts_total", route=BATCH, stage="queue")
    inferences = small.value("kronos_model_inference_seconds_count", route=BATCH)
    blocking = threading.Thread(target=lambda: small.post(SINGLE, heavy()))
    with connect(small) as connection:
        # The time of a request starts with its first byte. This one starts first, but queues second.
        content = json.dumps({"items": [series(8)]}).encode()
        send_head(connection, BATCH, len(content))
        time.sleep(0.1)
        blocking.start()
        wait_until(lambda: small.value("kronos_concurrent_requests", route=SINGLE) == 1)
        time.sleep(0.1)
        connection.sendall(content)
        answer = b""
        while b"}" not in answer:
            answer += connection.recv(1000)
    assert answer.startswith(b"HTTP/1.1 504")
    assert b"spent in queue" in answer
    blocking.join()
    assert small.value("kronos_timeouts_total", route=BATCH, stage="queue") == before + 1
    assert small.value("kronos_model_inference_seconds_count", route=BATCH) == inferences


def requests_counted(server: Server) -> dict[tuple[str, str], float]:
    return {
        (dict(labels)["route"], dict(labels)["status"]): value
        for (name, labels), value in server.samples().items()
        if name == "kronos_requests_total" and value
    }


@pytest.mark.parametrize(
    ("parts", "code", "problem", "route"),
    [
        ([b"no http\r\n\r\n"], 400, "not-http", "unmatched"),
        ([b"GET / HTTP/1.1\r\nHost"], 408, "slow-head", "unmatched"),
        ([b"GET / HTTP/1.1\r\n", b"X: " + b"y" * 40_000, b"y" * 40_000], 431, "headers-too-large", "unmatched"),
        (
            [
                b"POST /v1/predict/batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n",
                b"Transfer-Encoding: chunked\r\nX-Request-ID: broken-1\r\n\r\n2\r\n{}\r\n",
                b"nonsense\r\n",
            ],
            400,
            "not-http",
            BATCH,
        ),
    ],
)
def test_bytes_that_are_no_request_are_counted_and_logged_as_the_client_saw_it(
    small: Server, parts: list[bytes], code: int, problem: str, route: str
):
    wait_until(lambda: small.total("kronos_concurrent_requests") == 0)
    before = requests_counted(small)
    with connect(small) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.1)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    assert answer.startswith(f"HTTP/1.1 {code} ".encode())
    assert answer.count(b"HTTP/1.1 4") == 1
    body = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert body["type"] == f"urn:kronos:problem:{problem}"
    wait_until(lambda: requests_counted(small) != before)
    after = requests_counted(small)
    assert {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key)} == {
        (route, "invalid"): 1
    }
    line = next(line for line in small.logged("request") if line["request_id"] == body["request_id"])
    assert (line["code"], line["problem"], line["route"]) == (code, problem, route)
    assert not [line for line in small.log() if line["logger"].startswith("uvicorn") and line["level"] != "info"]


def test_a_connection_that_nobody_uses_is_closed_and_no_request(small: Server):
    before = requests_counted(small)
    with connect(small) as connection:
        assert connection.recv(10) == b""
    assert requests_counted(small) == before


def test_a_request_that_is_answered_is_not_disturbed_by_a_slow_one_behind_it(small: Server):
    content = json.dumps(series(64, 60)).encode()
    with connect(small) as connection:
        send_head(connection, SINGLE, len(content))
        connection.sendall(content + b"GET / HTTP/1.1\r\n")
        assert connection.recv(20).startswith(b"HTTP/1.1 200")


def test_nothing_a_caller_writes_becomes_a_series(server: Server):
    before = server.samples().keys()
    for number in range(50):
        headers = {"X-API-Key": f"key{number}", "X-Request-ID": f"id{number}", "User-Agent": f"agent{number}"}
        method = ("GET", "POST", "PUT", "PROPFIND", "DELETE")[number % 5]
        server.client.request(method, f"/v1/random/{number}?x={number}", headers=headers)
        server.post(SINGLE, series(2, 1, series_id=f"series{number}"), **headers)
    assert server.samples().keys() == before


def test_probes_and_scrapes_are_in_no_request_metric(server: Server):
    before = server.total("kronos_requests_total")
    for path in UNCOUNTED_PATHS:
        assert server.client.get(path).status_code == 200
    for path in ("/v1/healthz", "/v1/readyz"):
        head = server.client.head(path)
        assert (head.status_code, head.content) == (200, b"")
    assert server.total("kronos_requests_total") == before


def test_exemplars_carry_the_request_id_where_openmetrics_is_asked_for(server: Server):
    request_id = "x" * 64
    assert server.client.post(SINGLE, json=series(5, 1), headers={"X-Request-ID": request_id}).status_code == 200
    scrape = server.client.get("/v1/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert scrape.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert f'# {{request_id="{request_id}"}}' in scrape.text
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"X-Request-ID": request_id, "traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    assert server.client.post(SINGLE, json=series(5, 1), headers=headers).status_code == 200
    scrape = server.client.get("/v1/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    exemplar = f'# {{request_id="{request_id}",trace_id="{trace_id}"}}'
    for metric in ("kronos_request_duration_seconds", "kronos_model_inference_seconds"):
        assert any(line.startswith(metric) and exemplar in line for line in scrape.text.splitlines())
    assert scrape.text.endswith("# EOF\n")
    plain = server.client.get("/v1/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert request_id not in plain.text


def test_probes_and_scrapes_stay_quick_while_the_model_works(server: Server):
    with connect(server) as connection:
        send(connection, heavy())
        wait_until(lambda: server.total("kronos_concurrent_requests") == 1)
        for path in ("/v1/healthz", "/v1/readyz", "/v1/metrics"):
            assert max(server.client.get(path).elapsed.total_seconds() for _ in range(20)) < 1
    wait_until(lambda: server.total("kronos_concurrent_requests") == 0)


def test_a_large_batch_does_not_starve_single_requests(tmp_path: Path):
    # The callers are told apart by their keys; from one address without keys they would be one.
    keys = {name: f"{name}-0123456789abcdef" for name in ("bulk", "desk")}
    with Server(tmp_path, api_keys=",".join(f"{name}:{key}" for name, key in keys.items())) as running:
        one = series(10, 4)
        desk = {"X-API-Key": keys["desk"]}
        bulk = threading.Thread(
            target=lambda: running.post(BATCH, {"items": [one] * 500}, **{"X-API-Key": keys["bulk"]})
        )
        bulk.start()
        wait_until(lambda: running.value("kronos_queue_depth") > 400)
        for _ in range(5):
            assert running.post(SINGLE, one, **desk).status_code == 200
        assert running.value("kronos_queue_depth") > 300, "the batch is far from done"
        bulk.join()
    waits = [line["queue_ms"] for line in running.logged("request") if line["client"] == "desk"]
    (batch,) = (line for line in running.logged("request") if line["client"] == "bulk")
    assert batch["batch"] == 500
    assert max(waits) < batch["inference_ms"] / 5


def test_the_model_is_idle_within_a_step_after_a_timeout_and_a_disconnect(small: Server):
    before = {cause: small.value("kronos_cancellations_total", cause=cause) for cause in CAUSES}
    process = psutil.Process(small.process.pid)
    for cause in CAUSES:
        with connect(small) as connection:
            send(connection, series(400, 512))
            if cause == "client_disconnect":
                wait_until(lambda: small.total("kronos_concurrent_requests") == 1)
                time.sleep(0.5)
            else:
                assert connection.recv(20).startswith(b"HTTP/1.1 504")
        wait_until(lambda: small.total("kronos_concurrent_requests") == 0)
        # One step of this takes some hundredths of a second.
        time.sleep(0.5)
        used = sum(process.cpu_times()[:2])
        time.sleep(0.5)
        assert sum(process.cpu_times()[:2]) - used < 0.2
    after = {cause: small.value("kronos_cancellations_total", cause=cause) for cause in CAUSES}
    assert after == {cause: count + 1 for cause, count in before.items()}
