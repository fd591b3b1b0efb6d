"""The real service, started as users start it, on a free port; and requests for it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).resolve().parents[2]
SINGLE = "/v1/predict/single"
BATCH = "/v1/predict/batch"
HANGING_SECONDS = 120
"""When waiting for something has failed. Nothing takes that long, even on a busy machine."""


class Server:
    """``python -m kronos_service`` in a process of its own, with environment ``variables``.

    ``settings`` are KRONOS_* without the prefix.
    """

    def __init__(
        self,
        folder: Path,
        wait: str = "/v1/readyz",
        url: str = "",
        variables: Mapping[str, str] | None = None,
        program: Sequence[str] = ("-m", "kronos_service"),
        **settings: object,
    ) -> None:
        """Without ``url`` the service takes any free port and says in its log which."""
        self.folder = folder
        self.log_file = folder / "log"
        self._wait = wait
        self._url = url
        self._variables = variables or {}
        self._program = program
        self._settings = {"port": 0, "drain_seconds": 0} | settings

    def __enter__(self) -> Self:
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self._program],
                cwd=self.folder,
                env={**environment(**self._settings), **self._variables},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait_for_start()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        return self

    def _wait_for_start(self) -> None:
        deadline = time.monotonic() + HANGING_SECONDS
        while not self._url and not (started := self.logged("starting")):
            self._still_trying(deadline)
        self.url = self._url or f"http://{started[0]['host']}:{started[0]['port']}"
        self.client = httpx.Client(base_url=self.url, timeout=HANGING_SECONDS)
        while not self._answers():
            self._still_trying(deadline)

    def _still_trying(self, deadline: float) -> None:
        assert self.process.poll() is None, self.log_file.read_text()
        assert time.monotonic() < deadline, self.log_file.read_text()
        time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            return self.client.get(self._wait).status_code == 200
        except httpx.TransportError:
            return False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGTERM)
                self.process.wait(HANGING_SECONDS)

    def log(self) -> list[dict[str, Any]]:
        """Every line of the log that is JSON and complete."""
        lines = self.log_file.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.log() if line["event"] == event]

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return self.client.post(path, json=body, headers=headers)

    def samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """A scrape: name and labels to value."""
        text = self.client.get("/v1/metrics").text
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def cpu_seconds(self) -> float:
        """CPU time of the process so far: how busy the machine is does not show in it."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def value(self, name: str, **labels: str) -> float:
        return self.samples()[name, frozenset(labels.items())]

    def total(self, name: str, **labels: str) -> float:
        """The sum over all series of ``name`` with at least ``labels``."""
        wanted = set(labels.items())
        return sum(value for (series, have), value in self.samples().items() if series == name and wanted <= have)


def connect(server: Server) -> socket.socket:
    """A connection of its own, for what an HTTP client would not do."""
    address = urlsplit(server.url)
    return socket.create_connection((address.hostname, address.port), timeout=HANGING_SECONDS)


def send_head(connection: socket.socket, path: str, length: int) -> None:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: kronos\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
    connection.sendall(head.encode())


def send(connection: socket.socket, body: Any, length: int | None = None, path: str = SINGLE) -> None:
    """Send a request without waiting for its answer; with a wrong ``length`` it is never complete."""
    content = json.dumps(body).encode()
    send_head(connection, path, len(content) if length is None else length)
    connection.sendall(content)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HANGING_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def free_port(host: str) -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def environment(**settings: object) -> dict[str, str]:
    """This process's environment without what the developer has set, with ``settings`` and the packages."""
    set_here = ("KRONOS_", "OTEL_")
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith(set_here)}
    # Work that is to time out must not be refused.
    given = {"max_model_seconds": 1_000_000} | settings
    ours = {f"KRONOS_{name.upper()}": str(value) for name, value in given.items()}
    return inherited | ours | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'service'}"}


def series(count: int = 8, horizon: int = 3, step: timedelta = timedelta(hours=1), **members: Any) -> dict[str, Any]:
    """A valid single request: ``count`` candles from Tuesday 2024-01-02 09:00 UTC on."""
    start = datetime(2024, 1, 2, 9)
    candles = [
        {
            "open": 100.0 + row % 7,
            "high": 107.0 + row % 7,
            "low": 95.0 + row % 5,
            "close": 101.0 + row % 6,
            "volume": 1000.0 + 10 * (row % 11),
        }
        for row in range(count)
    ]
    times = [f"{(start + row * step).isoformat()}Z" for row in range(count)]
    return {"candles": candles, "timestamps": times, "horizon": horizon} | members


def heavy() -> dict[str, Any]:
    """A valid request that keeps the demo model busy for longer than any test runs, in short steps.

    With as many samples as there are rows in the model, it leaves no room for others.
    """
    return series(2048, horizon=512, overrides={"sample_count": 32, "seed": 1})
