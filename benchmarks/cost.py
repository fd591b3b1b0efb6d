"""CPU time per request of the instrumentation, beside bare FastAPI and prometheus-fastapi-instrumentator."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.apps import VARIANTS
from benchmarks.load import request, send_all
from kronos_service.api.paths import SINGLE_PATH

_CONNECTIONS = 8
_WARM_UP = 500
_BODY = b'{"a": 1}'


def run(console: Console, *, rounds: int, requests: int) -> list[str]:
    """Measure every variant in turn, `rounds` times; returns what went wrong."""
    microseconds: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    with ExitStack() as running:
        ports = {variant: running.enter_context(serving(variant)) for variant in VARIANTS}
        for number in range(rounds + 1):
            # In turns, so that other load on the machine affects all variants alike.
            for variant, (process, port) in ports.items():
                used = measure(process, port, _BODY, requests if number else _WARM_UP)
                if number:
                    microseconds[variant].append(used)
    console.print(_table(microseconds, requests))
    return []


def measure(process: psutil.Process, port: int, body: bytes, count: int) -> float:
    """Send `body` so many times to the single route; returns the CPU time for each, in microseconds."""
    sent = request("POST", SINGLE_PATH, body, port=port)
    before = process.cpu_times()
    codes = asyncio.run(send_all(port, lambda _: sent, count, _CONNECTIONS))
    after = process.cpu_times()
    if set(codes) != {200}:
        raise RuntimeError(f"not all answers were 200: {dict(codes)}")
    seconds: float = after.user + after.system - before.user - before.system
    return seconds / count * 1e6


def _table(microseconds: dict[str, list[float]], requests: int) -> Table:
    title = f"CPU per request, POST, {_CONNECTIONS} connections, {requests} requests a round"
    table = Table(title=title, title_justify="left")
    table.add_column("application")
    for column in ("median µs", "times bare", "lowest", "highest"):
        table.add_column(column, justify="right")
    bare = microseconds[VARIANTS[0]]
    for variant, values in microseconds.items():
        ratios = [value / base for value, base in zip(values, bare, strict=True)]
        row = (statistics.median(values), statistics.median(ratios), min(ratios), max(ratios))
        table.add_row(variant, f"{row[0]:.0f}", *(f"{ratio:.2f}" for ratio in row[1:]))
    return table


@contextmanager
def serving(variant: str, body: bytes = _BODY, **variables: str) -> Iterator[tuple[psutil.Process, int]]:
    """An application in a process of its own, which answers `body`, and its port."""
    with (
        # The log goes through a pipe, as in a container.
        subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as reader,
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.apps", variant],
            stdout=subprocess.PIPE,
            stderr=reader.stdin,
            env=os.environ | variables,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None  # noqa: S101 - a pipe
            port = int(process.stdout.readline())
            _wait(f"http://127.0.0.1:{port}{SINGLE_PATH}", body)
            yield psutil.Process(process.pid), port
        finally:
            process.terminate()


def _wait(url: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    deadline = time.monotonic() + 60
    while True:
        try:
            if httpx.post(url, content=body, headers=headers, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"{url} does not answer")
        time.sleep(0.1)
