"""What clients saw and what the metrics say: the same, request by request."""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from kronos_service.api.paths import HEALTH_PATH, METRICS_PATH, READY_PATH, UNCOUNTED_PATHS
from tests.service.server import BATCH, SINGLE, Server, connect, heavy, send, send_head, series, wait_until

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with little room and little patience."""
    settings = {
        "queue_capacity": 2,
        "max_batch_items": 2,
        "time_limit_seconds": 5,
        "body_timeout_seconds": 2,
        "max_body_bytes": 400_000,
    }
    with Server(tmp_path_factory.mktemp("small"), **settings) as running:
        yield running


def sample(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def read_answer(connection: socket.socket) -> bytes:
    """All that comes until the server closes the connection, or the end of a JSON document."""
    answer = b""
    while not answer.endswith(b"}") and (piece := connection.recv(65536)):
        answer += piece
    return answer


def in_the_model(server: Server, before: float) -> None:
    """Wait until the model has begun with another series."""
    wait_until(lambda: server.value("kronos_batch_rows_count") > before)


def model_is_idle(server: Server) -> bool:
    """Whether the process used hardly any CPU in a tenth of a second; the model takes a whole core."""
    before = server.cpu_seconds()
    time.sleep(0.1)
    return server.cpu_seconds() - before < 0.03


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

    # A client that leaves while the model works, which stops within a step.
    calls = small.value("kronos_batch_rows_count")
    with connect(small) as connection:
        send(connection, heavy())
        in_the_model(small, calls)
    seen[SINGLE, "cancelled"] += 1
    wait_until(lambda: small.value("kronos_cancellations_total", cause="client_disconnect") == 1)
    wait_until(lambda: model_is_idle(small))
    # One that leaves before its body is complete.
    with connect(small) as connection:
        send(connection, {}, length=100, path=BATCH)
        wait_until(lambda: small.value("kronos_concurrent_requests", route=BATCH) == 1)
    seen[BATCH, "cancelled"] += 1
    wait_until(lambda: small.value("kronos_cancellations_total", cause="client_disconnect") == 2)

    # The model is busy, the queue is full, and more is refused at once.
    calls = small.value("kronos_batch_rows_count")
    with connect(small) as blocking, ThreadPoolExecutor(1) as pool:
        send(blocking, heavy())
        in_the_model(small, calls)
        waiting = pool.submit(small.post, BATCH, {"items": [series(8), series(8)]})
        wait_until(lambda: small.value("kronos_queue_depth") == 2)
        answer = post("overloaded", series(8), code=503)
        blocking.close()
        # The batch gets its turn at most one step of the model later.
        assert waiting.result().status_code == 200
    assert answer.json()["type"] == "urn:kronos:problem:overloaded"
    assert int(answer.headers["retry-after"]) >= 1
    seen[SINGLE, "cancelled"] += 1
    seen[BATCH, "success"] += 1

    wait_until(lambda: small.total("kronos_concurrent_requests") == 0)
    counted = {
        (dict(labels)["route"], dict(labels)["status"]): value
        for (name, labels), value in small.samples().items()
        if name == "kronos_requests_total" and value
    }
    assert counted == seen
    rejections = {
        reason: small.value("kronos_rejections_total", reason=reason) for reason in ("queue_full", "too_large")
    }
    assert rejections == {"queue_full": 1, "too_large": 1}
    assert small.value("kronos_rejections_total", reason="unsupported_encoding") == 1
    assert small.total("kronos_errors_total") == 0
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


def test_the_time_limit_strikes_in_the_queue_and_in_the_model(small: Server):
    before = small.samples()
    long, short = series(64, 512, overrides={"sample_count": 32}), json.dumps({"items": [series(8)]}).encode()
    with connect(small) as queued, ThreadPoolExecutor(1) as pool:
        # The time of a request starts with its first byte. This one starts first, but queues second.
        send_head(queued, BATCH, len(short))
        blocking = pool.submit(small.post, SINGLE, long)
        in_the_model(small, sample(before, "kronos_batch_rows_count"))
        queued.sendall(short)
        answer = read_answer(queued)
        assert blocking.result().status_code == 504
    assert answer.startswith(b"HTTP/1.1 504")
    assert b"the service is busy" in answer
    assert "fewer series" in blocking.result().json()["detail"]
    wait_until(lambda: model_is_idle(small))
    after = small.samples()

    def increase(name: str, **labels: str) -> float:
        return sample(after, name, **labels) - sample(before, name, **labels)

    for route, stage in ((BATCH, "queue"), (SINGLE, "inference")):
        assert increase("kronos_timeouts_total", route=route, stage=stage) == 1
        assert increase("kronos_requests_total", route=route, status="timeout") == 1
        assert increase("kronos_request_duration_seconds_count", route=route, status="timeout") == 1
    assert increase("kronos_cancellations_total", cause="timeout") == 2
    assert increase("kronos_model_inference_seconds_count", route=SINGLE) == 1
    assert increase("kronos_model_inference_seconds_count", route=BATCH) == 0


Counted = dict[tuple[str, str], float]
"""Requests by route and status."""


def requests_counted(server: Server) -> Counted:
    return {
        (dict(labels)["route"], dict(labels)["status"]): value
        for (name, labels), value in server.samples().items()
        if name == "kronos_requests_total" and value
    }


def increases(before: Counted, after: Counted) -> Counted:
    return {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key)}


@pytest.mark.parametrize(
    ("parts", "code", "problem", "route"),
    [
        ([b"no http\r\n\r\n"], 400, "not-http", "unmatched"),
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
    assert increases(before, requests_counted(small)) == {(route, "invalid"): 1}
    line = next(line for line in small.logged("request") if line["request_id"] == body["request_id"])
    assert (line["code"], line["problem"], line["route"]) == (code, problem, route)
    assert not [line for line in small.log() if line["logger"].startswith("uvicorn") and line["level"] != "info"]


def test_what_never_comes_is_given_up(small: Server):
    wait_until(lambda: small.total("kronos_concurrent_requests") == 0)
    before = requests_counted(small)
    with connect(small) as unused, connect(small) as head, connect(small) as body:
        head.sendall(b"GET / HTTP/1.1\r\nHost")
        send(body, {}, length=100)
        answers = {"slow-head": read_answer(head), "slow-body": read_answer(body)}
        assert unused.recv(10) == b""
    for problem, answer in answers.items():
        assert answer.startswith(b"HTTP/1.1 408")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["type"] == f"urn:kronos:problem:{problem}"
    wait_until(lambda: small.total("kronos_concurrent_requests") == 0)
    # A connection that nobody uses is no request.
    assert increases(before, requests_counted(small)) == {("unmatched", "invalid"): 1, (SINGLE, "invalid"): 1}
    (line,) = [line for line in small.logged("request") if line.get("problem") == "slow-head"]
    assert (line["code"], line["route"]) == (408, "unmatched")


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


def test_probes_and_scrapes_are_answered_while_the_model_works(server: Server):
    calls = server.value("kronos_batch_rows_count")
    with connect(server) as connection:
        send(connection, heavy())
        in_the_model(server, calls)
        for _ in range(20):
            for path in (HEALTH_PATH, READY_PATH, METRICS_PATH):
                assert server.client.get(path).status_code == 200
        assert server.value("kronos_concurrent_requests", route=SINGLE) == 1
    wait_until(lambda: server.total("kronos_concurrent_requests") == 0)


def test_a_large_batch_does_not_starve_single_requests(server: Server):
    # Callers without keys are told apart by their addresses.
    one = series(10, 40)
    transport = httpx.HTTPTransport(local_address="127.0.0.9")
    with httpx.Client(transport=transport, base_url=server.url, timeout=60) as desk, ThreadPoolExecutor(1) as pool:
        bulk = pool.submit(server.post, BATCH, {"items": [one] * 300}, **{"X-Request-ID": "bulk"})
        wait_until(lambda: server.value("kronos_queue_depth") > 200)
        for number in range(5):
            headers = {"X-Request-ID": f"desk-{number}"}
            assert desk.post(SINGLE, json=one, headers=headers).status_code == 200
        assert server.value("kronos_queue_depth") > 25, "the batch is far from done"
        assert bulk.result().status_code == 200
    wait_until(lambda: any(line["request_id"] == "bulk" for line in server.logged("request")))
    lines = {line["request_id"]: line for line in server.logged("request")}
    assert lines["bulk"]["batch"] == 300
    waits = [line["queue_ms"] for request_id, line in lines.items() if request_id.startswith("desk-")]
    assert len(waits) == 5
    assert max(waits) < lines["bulk"]["inference_ms"] / 5
