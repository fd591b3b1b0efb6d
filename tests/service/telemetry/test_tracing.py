"""Traces, as a receiver of OTLP gets them from the running service."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from kronos_service.telemetry.tracing import caller_context, trace_in, tracing_from_environment
from tests.service.server import (
    BATCH,
    HANGING_SECONDS,
    SINGLE,
    Server,
    connect,
    environment,
    heavy,
    send,
    series,
    wait_until,
)

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@dataclass(frozen=True)
class Received:
    """A span that has arrived."""

    span: Span

    @property
    def attributes(self) -> dict[str, Any]:
        values = ((pair.key, pair.value.WhichOneof("value"), pair.value) for pair in self.span.attributes)
        return {key: getattr(value, kind) for key, kind, value in values}

    @property
    def seconds(self) -> float:
        return (self.span.end_time_unix_nano - self.span.start_time_unix_nano) / 1e9

    def inside(self, other: Received) -> bool:
        return (
            other.span.start_time_unix_nano <= self.span.start_time_unix_nano
            and self.span.end_time_unix_nano <= other.span.end_time_unix_nano
        )


class Collector(ThreadingHTTPServer):
    """A receiver of OTLP over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.spans: list[Received] = []
        self.resources: list[dict[str, str]] = []
        self.stalled = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def servers(self) -> list[Received]:
        return [one for one in self.spans if one.span.kind == Span.SPAN_KIND_SERVER]

    def server_of(self, request_id: str) -> Received:
        """The server span of a request. Others are on their way with it, or have come before."""
        wait_until(lambda: any(self._is(one, request_id) for one in self.servers()))
        (found,) = [one for one in self.servers() if self._is(one, request_id)]
        return found

    def children(self, parent: Received) -> dict[str, Received]:
        found = [one for one in self.spans if one.span.parent_span_id == parent.span.span_id]
        assert all(one.span.trace_id == parent.span.trace_id for one in found)
        names = [one.span.name for one in found]
        assert len(set(names)) == len(names)
        return dict(zip(names, found, strict=True))

    def _is(self, one: Received, request_id: str) -> bool:
        return bool(one.attributes["kronos.request_id"] == request_id)


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        assert self.path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.server.resources.append({pair.key: pair.value.string_value for pair in resource.resource.attributes})
            self.server.spans += [Received(span) for scope in resource.scope_spans for span in scope.spans]
        if self.server.stalled.is_set():
            threading.Event().wait(HANGING_SECONDS)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Server]:
    """A service that sends its spans at once."""
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    settings = {
        "queue_capacity": 2,
        "max_batch_items": 2,
        "time_limit_seconds": 5,
        "max_model_seconds": 3600,
        "log_level": "debug",
    }
    with Server(tmp_path_factory.mktemp("traced"), variables=variables, **settings) as running:
        yield running


def logged(server: Server, request_id: str) -> dict[str, Any]:
    wait_until(lambda: any(line.get("request_id") == request_id for line in server.logged("request")))
    (line,) = [line for line in server.logged("request") if line.get("request_id") == request_id]
    return line


def test_a_request_is_a_span_with_its_parts_in_the_callers_trace(traced: Server, collector: Collector):
    headers = {"X-Request-ID": "traced-1", "traceparent": f"00-{TRACE}-{CALLER}-01"}
    body = {"items": [series(60, 20), series(20, 5)]}
    assert traced.client.post(BATCH, json=body, headers=headers).status_code == 200
    server, line = collector.server_of("traced-1"), logged(traced, "traced-1")
    assert server.span.name == f"POST {BATCH}"
    assert (server.span.trace_id.hex(), server.span.parent_span_id.hex()) == (TRACE, CALLER)
    assert (line["trace_id"], line["span_id"]) == (TRACE, server.span.span_id.hex())
    lines = [one for one in traced.log() if one.get("request_id") == "traced-1"]
    assert len(lines) > 1
    assert {(one["trace_id"], one["span_id"]) for one in lines} == {(TRACE, line["span_id"])}
    assert server.span.status.code == Status.STATUS_CODE_UNSET
    expected = {
        "http.request.method": "POST",
        "http.route": BATCH,
        "http.response.status_code": 200,
        "kronos.status": "success",
        "kronos.batch": 2,
        "kronos.candles": 80,
        "kronos.model": line["model"],
    }
    assert server.attributes.items() >= expected.items()

    parts = collector.children(server)
    assert list(parts) == ["preprocess", "queue", "inference", "postprocess"]
    stages = collector.children(parts["inference"])
    assert list(stages) == ["tokenize", "prefill", "decode", "detokenize"]
    for name, part in parts.items():
        assert part.seconds == pytest.approx(line[f"{name}_ms"] / 1000, abs=2e-6)
    for name, part in stages.items():
        assert part.attributes["kronos.seconds"] == pytest.approx(line[f"{name}_ms"] / 1000, abs=2e-6)
        assert part.seconds > 0
    # A chunk each, and a step for each candle; the first candle is drawn in the stage that reads the history.
    calls = {name: part.attributes["kronos.calls"] for name, part in stages.items()}
    assert calls == {"tokenize": 2, "prefill": 4, "decode": 19 + 4, "detokenize": 4}
    # What was measured on two threads can be a little apart.
    assert parts["preprocess"].inside(server)
    assert parts["postprocess"].inside(server)

    scrape = traced.client.get("/v1/metrics", headers={"Accept": "application/openmetrics-text"}).text
    exemplar = f'# {{request_id="traced-1",span_id="{line["span_id"]}",trace_id="{TRACE}"}}'
    assert exemplar in scrape
    assert collector.resources[0]["service.name"] == "kronos"
    assert collector.resources[0]["deployment.environment.name"] == "test"


def test_a_trace_begins_here_if_the_caller_has_none_and_the_longest_id_fits(traced: Server, collector: Collector):
    request_id = "y" * 64
    assert traced.post(SINGLE, series(5, 1), **{"X-Request-ID": request_id}).status_code == 200
    server, line = collector.server_of(request_id), logged(traced, request_id)
    assert server.span.parent_span_id == b""
    assert (line["trace_id"], line["span_id"]) == (server.span.trace_id.hex(), server.span.span_id.hex())
    scrape = traced.client.get("/v1/metrics", headers={"Accept": "application/openmetrics-text"}).text
    assert f'# {{request_id="{request_id}",trace_id="{line["trace_id"]}"}}' in scrape


def test_spans_are_counted_as_requests_are_and_only_our_faults_are_errors(traced: Server, collector: Collector):
    for path in ("/v1/healthz", "/v1/readyz", "/v1/metrics", "/v1/info", "/docs", "/nowhere"):
        traced.client.get(path)
    traced.post(SINGLE, {})
    traced.client.post(SINGLE, content=b"{}", headers={"Content-Type": "text/plain"})
    traced.client.get(SINGLE)
    assert traced.post(SINGLE, heavy()).status_code == 504
    calls = traced.value("kronos_batch_rows_count")
    with connect(traced) as leaving:
        send(leaving, heavy())
        wait_until(lambda: traced.value("kronos_batch_rows_count") > calls)
    wait_until(lambda: traced.value("kronos_requests_total", route=SINGLE, status="cancelled") == 1)
    with connect(traced) as leaving:
        send(leaving, {}, length=100)
        wait_until(lambda: traced.total("kronos_concurrent_requests") == 1)
    wait_until(lambda: traced.value("kronos_requests_total", route=SINGLE, status="cancelled") == 2)

    counted = {
        (dict(labels)["route"], dict(labels)["status"]): value
        for (name, labels), value in traced.samples().items()
        if name == "kronos_requests_total" and value and dict(labels)["route"] != "unmatched"
    }

    def spans() -> Counter[tuple[str, str]]:
        return Counter((one.attributes["http.route"], one.attributes["kronos.status"]) for one in collector.servers())

    wait_until(lambda: spans() == counted)
    for one in collector.servers():
        wrong = one.span.status.code == Status.STATUS_CODE_ERROR
        assert wrong == (one.attributes["kronos.status"] == "timeout")
    gone = [one for one in collector.servers() if one.attributes["kronos.status"] == "cancelled"]
    assert not any("http.response.status_code" in one.attributes for one in gone)


def test_a_collector_that_stalls_delays_neither_requests_nor_the_end(traced: Server, collector: Collector):
    collector.stalled.set()
    for _ in range(5):
        assert traced.post(SINGLE, series(5, 1)).status_code == 200
    traced.process.send_signal(signal.SIGTERM)
    assert traced.process.wait(HANGING_SECONDS) == 0


WITHOUT = """
import json, os, sys
from kronos_service.app import create_app
from kronos_service.telemetry import logs
from kronos_service.telemetry.tracing import tracing_from_environment
logs.configure("info", "json")
create_app()
for line in sys.stdin:
    before = dict(os.environ)
    os.environ |= json.loads(line)
    assert tracing_from_environment() is None, line
    os.environ.clear()
    os.environ |= before
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))])
"""


def test_without_traces_nothing_of_the_sdk_is_loaded(tmp_path: Path):
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}
    cases = [
        {"OTEL_SERVICE_NAME": "kronos", "OTEL_METRICS_EXPORTER": "otlp"},
        endpoint | {"OTEL_TRACES_EXPORTER": "none"},
        endpoint | {"OTEL_SDK_DISABLED": "true"},
        endpoint | {"OTEL_TRACES_EXPORTER": "zipkin"},
        endpoint | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ]
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT],
        input="\n".join(map(json.dumps, cases)),
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "[]\n"
    assert [json.loads(line)["reason"] for line in run.stderr.splitlines()] == [
        "OTEL_TRACES_EXPORTER=zipkin is not possible: set it to otlp",
        "the protocol grpc is not possible: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf (port 4318)",
    ]


@pytest.mark.parametrize(
    ("variables", "missing", "reason"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, "opentelemetry.sdk", "install kronos-monitoring[service,otel]"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_BSP_MAX_QUEUE_SIZE": "1"}, None, "variables are not valid: "),
    ],
)
def test_traces_that_are_not_possible_are_no_reason_to_stop(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variables: dict[str, str],
    missing: str | None,
    reason: str,
):
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if missing:
        for name in list(sys.modules):
            if name.startswith(missing):
                monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setitem(sys.modules, missing, None)
    assert tracing_from_environment() is None
    assert reason in capsys.readouterr().out


@pytest.mark.parametrize(
    ("values", "valid"),
    [
        ([f"00-{TRACE}-{CALLER}-01"], True),
        ([f"01-{TRACE}-{CALLER}-01-more"], True),
        ([f"00-{TRACE}-{CALLER}-01-more"], False),
        ([f"ff-{TRACE}-{CALLER}-01"], False),
        ([f"00-{TRACE.upper()}-{CALLER}-01"], False),
        ([f"00-{'0' * 32}-{CALLER}-01"], False),
        ([f"00-{TRACE}-{'0' * 16}-01"], False),
        ([f"00-{TRACE}-{CALLER}"], False),
        ([f"00-{TRACE}-{CALLER}-01"] * 2, False),
        ([""], False),
        ([], False),
    ],
)
def test_a_callers_trace(values: list[str], valid: bool):
    found = trace_in(caller_context({"traceparent": values} if values else {}))
    assert found == ((TRACE, CALLER) if valid else None)
