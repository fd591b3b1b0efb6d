"""CPU time per forecast with traces, every request sampled, beside the service without them."""

from __future__ import annotations

import json
import statistics
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from rich.console import Console

from benchmarks.apps import FORECASTS
from benchmarks.cost import measure, serving
from proof.scene.live import series

_BODY = json.dumps(series(20, 1)).encode()
"""A small forecast, beside which the traces cost most."""


def run(console: Console, *, rounds: int, requests: int) -> list[str]:
    """Measure both in turn, `rounds` times; returns what went wrong."""
    ratios = []
    with ExitStack() as running:
        collector = running.enter_context(_collecting())
        without = running.enter_context(serving(FORECASTS, _BODY))
        traced = running.enter_context(serving(FORECASTS, _BODY, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url))
        for number in range(rounds + 1):
            before = measure(*without, _BODY, requests)
            after = measure(*traced, _BODY, requests)
            if number:
                ratios.append((after / before, before, after))
    ratio, before, after = (statistics.median(values) for values in zip(*ratios, strict=True))
    console.print(
        f"CPU per forecast, with logs: {before / 1000:.2f} ms; with traces of all requests: {after / 1000:.2f} ms, "
        f"{ratio:.2f} times as much"
    )
    return [] if collector.received_bytes else ["no spans arrived"]


class _Collector(ThreadingHTTPServer):
    """Takes spans, and forgets them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.received_bytes = 0


class _Handler(BaseHTTPRequestHandler):
    server: _Collector

    def do_POST(self) -> None:
        """Answer as a collector does."""
        self.server.received_bytes += len(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""


@contextmanager
def _collecting() -> Iterator[_Collector]:
    with _Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
