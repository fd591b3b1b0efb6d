"""A reader of the log that stalls: nobody waits for it, and what is lost is told."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from kronos_service.telemetry import outlet
from kronos_service.telemetry.outlet import Outlet
from tests.service.server import HANGING_SECONDS, SINGLE, environment, free_port, series, wait_until

LINES = [f"{number} {'x' * (number % 7000)}\n".encode() for number in range(4_000)]


class Reader:
    """The other end, which reads only what it is asked to."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read
        self.lines: list[bytes] = []
        self._rest = b""

    def until(self, last: bytes) -> None:
        while not self.lines or self.lines[-1] != last:
            piece = self._read()
            assert piece, f"no {last!r} after {len(self.lines)} lines"
            *lines, self._rest = (self._rest + piece).split(b"\n")
            self.lines += [line + b"\n" for line in lines]


@contextmanager
def pipe() -> Iterator[tuple[int, Reader]]:
    read, write = os.pipe()
    yield write, Reader(lambda: os.read(read, 1 << 16))
    os.close(read)
    os.close(write)


@contextmanager
def pair() -> Iterator[tuple[int, Reader]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours.fileno(), Reader(lambda: theirs.recv(1 << 16))


@pytest.mark.parametrize("connect", [pipe, pair])
def test_a_stalled_reader_delays_nobody_and_gets_whole_lines_in_order_and_the_number_of_those_it_missed(connect):
    told: list[int] = []
    lost = threading.Event()

    def tell(count: int) -> None:
        told.append(count)
        lost.set()

    with (
        connect() as (descriptor, reader),
        closing(Outlet(descriptor, tell)) as out,
    ):
        counted: list[int] = []
        out.count_losses(counted.append)
        for line in LINES:  # more than fits
            out.write(line)
        missed = sum(counted)
        assert 0 < missed < len(LINES)
        reading = threading.Thread(target=reader.until, args=(b"last\n",))
        reading.start()
        assert lost.wait(HANGING_SECONDS)
        out.write(b"last\n")
        reading.join()
    assert told == [missed]
    *received, _ = reader.lines
    assert len(received) == len(LINES) - missed
    assert received == [LINES[int(line.split()[0])] for line in received], "whole lines"
    assert received == sorted(received, key=lambda line: int(line.split()[0])), "in order"
    assert sum(map(len, received)) > outlet.CAPACITY_BYTES
    assert received[0] == LINES[0]


@pytest.mark.parametrize("connect", [pipe, pair])
def test_as_long_as_the_reader_keeps_up_nothing_is_only_in_memory(connect):
    with connect() as (descriptor, reader), closing(Outlet(descriptor, print)) as out:
        for line in LINES[:1000]:
            out.write(line)
            reader.until(line)  # in the same thread: nobody else has written it


def test_a_file_has_each_line_before_the_next_is_written(tmp_path: Path):
    with (tmp_path / "log").open("ab") as file:
        out = Outlet(file.fileno(), print)
        for line in LINES[:50]:
            out.write(line)
            assert (tmp_path / "log").read_bytes().endswith(line)


def test_a_reader_that_is_gone_is_no_error():
    read, write = os.pipe()
    os.close(read)
    counted: list[int] = []
    out = Outlet(write, print)
    out.count_losses(counted.append)
    os.close(write)
    out.write(b"lost\n")
    assert sum(counted) == 1


def test_a_service_whose_log_nobody_reads_serves_and_ends(tmp_path: Path):
    port = free_port("127.0.0.1")
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "kronos_service"],
        cwd=tmp_path,
        env=environment(port=port, drain_seconds=0, log_rejections=1_000_000),
        stdout=write,
        stderr=write,
    )
    os.close(write)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=HANGING_SECONDS) as client, os.fdopen(read) as log:

        def ready() -> bool:
            try:
                return client.get("/v1/readyz").status_code == 200
            except httpx.TransportError:
                return False

        def log_much() -> None:
            """More than a pipe takes: lines of 2 kB each."""
            for _ in range(100):
                assert client.get("/" + 128 * "%F0%9F%98%80").status_code == 404

        def value() -> float:
            (line,) = [
                line
                for line in client.get("/v1/metrics").text.splitlines()
                if line.startswith("kronos_log_lines_lost_total ")
            ]
            return float(line.split()[1])

        try:
            wait_until(ready)
            assert value() == 0
            while value() < 5:
                log_much()
            assert client.post(SINGLE, json=series(8, 1)).status_code == 200
            assert client.get("/v1/readyz").status_code == 200
            # Somebody reads again.
            lines = map(json.loads, log)
            told = next(line for line in lines if line["event"] == "log lines lost")
            assert told["lost"] == value()
            assert client.post(SINGLE, json=series(8, 1), headers={"X-Request-ID": "seen"}).status_code == 200
            assert next(line for line in lines if line.get("request_id") == "seen")["status"] == "success"
            # And stalls for ever.
            log_much()
            process.send_signal(signal.SIGTERM)
            assert process.wait(HANGING_SECONDS) == 0
        finally:
            process.kill()
            process.wait()


PRINTING = """
import sys, threading
from kronos_service.telemetry import logs
logs.configure("info", "json")
logs.take_streams()
print("half", end="")
print(" a line", "and another", sep="\\n")
sys.stderr.write("progress\\rmore progress\\r")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
"""


def test_what_is_printed_and_what_nobody_catches_is_logged(tmp_path: Path):
    run = subprocess.run(
        [sys.executable, "-c", PRINTING], env=environment(), cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout == ""
    lines = [json.loads(line) for line in run.stderr.splitlines()]
    assert [(line["logger"], line["event"]) for line in lines[:4]] == [
        ("stdout", "half a line"),
        ("stdout", "and another"),
        ("stderr", "progress"),
        ("stderr", "more progress"),
    ]
    assert lines[4]["event"] == "unhandled exception"
    assert "ZeroDivisionError" in lines[4]["exception"]
