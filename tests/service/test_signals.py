"""SIGTERM and SIGINT end the process at every moment of its life, also as process 1 of a container."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.service.server import HANGING_SECONDS, environment, wait_until

AS_PROCESS_1 = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"]


def has_namespaces() -> bool:
    try:
        return subprocess.run([*AS_PROCESS_1, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


needs_namespaces = pytest.mark.skipif(not has_namespaces(), reason="no namespaces here")
either = pytest.mark.parametrize(
    "wrapper",
    [pytest.param([], id="process"), pytest.param(AS_PROCESS_1, marks=needs_namespaces, id="process 1")],
)
both_signals = pytest.mark.parametrize("received", [signal.SIGTERM, signal.SIGINT])


@dataclass(frozen=True)
class Started:
    """A service; ``pid`` is that of its own process, not of the wrapper, as seen from here."""

    process: subprocess.Popen[bytes]
    pid: int
    log: Path

    def kill(self, received: signal.Signals) -> None:
        os.kill(self.pid, received)

    def end(self) -> int:
        """The exit code, which is that of the service also in a namespace."""
        return self.process.wait(HANGING_SECONDS)

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.endswith("}")]
        return [line for line in lines if line["event"] == event]

    def url(self) -> str:
        wait_until(lambda: bool(self.logged("starting")))
        return f"http://127.0.0.1:{self.logged('starting')[0]['port']}"

    def takes_signals(self) -> bool:
        """Whether they are blocked, so that they wait for the thread that takes them."""
        status = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        (blocked,) = [line.split()[1] for line in status if line.startswith("SigBlk:")]
        return bool(int(blocked, 16) >> signal.SIGTERM - 1 & 1)


class NeverRead:
    """A file that nobody gets to the end of."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path

    @contextmanager
    def reader(self) -> Iterator[None]:
        """Wait until somebody reads it, and keep them waiting."""
        writers: list[int] = []

        def being_read() -> bool:
            try:
                writers.append(os.open(self.path, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                return False
            return True

        wait_until(being_read)
        try:
            yield
        finally:
            os.close(writers[0])


@contextmanager
def service(
    folder: Path, wrapper: list[str], variables: dict[str, str] | None = None, **settings: object
) -> Iterator[Started]:
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*wrapper, sys.executable, "-m", "kronos_service"],
            cwd=folder,
            env=environment(**{"port": 0, "drain_seconds": 0} | settings) | (variables or {}),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        pid = process.pid
        if wrapper:
            wait_until(lambda: bool(psutil.Process(process.pid).children()))
            pid = psutil.Process(process.pid).children()[0].pid
        yield Started(process, pid, log)
    finally:
        process.kill()
        process.wait()


@either
@both_signals
def test_before_anything_is_imported(tmp_path: Path, wrapper: list[str], received: signal.Signals):
    with service(tmp_path, wrapper) as started:
        wait_until(started.takes_signals)
        started.kill(received)
        assert started.end() == 0
    assert started.log.read_text() == ""


@either
def test_while_the_disk_or_the_names_are_slow_at_the_start(tmp_path: Path, wrapper: list[str]):
    file = NeverRead(tmp_path / "never")
    slow_names = {"HOSTALIASES": str(file.path)}  # the C library reads it for each name
    for variables, settings in (({}, {"api_keys_file": file.path}), (slow_names, {"host": "somewhere"})):
        with service(tmp_path, wrapper, variables, **settings) as started, file.reader():
            started.kill(signal.SIGTERM)
            assert started.end() == 0


@either
def test_while_it_serves_and_while_it_drains(tmp_path: Path, wrapper: list[str]):
    with service(tmp_path, wrapper, drain_seconds=3600) as started:
        assert httpx.get(started.url() + "/v1/healthz").status_code == 200
        started.kill(signal.SIGTERM)
        wait_until(lambda: bool(started.logged("draining")))
        started.kill(signal.SIGINT)
        assert started.end() == 128 + signal.SIGINT


def test_while_the_disk_and_the_names_are_slow(tmp_path: Path):
    names, keys = NeverRead(tmp_path / "names"), tmp_path / "keys"
    keys.write_text("alice:alice-0123456789abcdef\n")
    variables = {
        "HOSTALIASES": str(names.path),
        "HF_ENDPOINT": "http://somewhere",
        "HF_HOME": str(tmp_path / "cache"),
    }
    settings = {"api_keys_file": keys, "model": "a/model", "tokenizer": "a/tokenizer"}
    with service(tmp_path, [], variables, **settings) as started, names.reader():  # it looks for the model
        url = started.url()
        keys.unlink()
        with NeverRead(keys).reader():
            for path, code in (("/v1/healthz", 200), ("/v1/readyz", 503), ("/v1/metrics", 200), ("/docs", 200)):
                assert httpx.get(url + path).status_code == code
            started.kill(signal.SIGTERM)
            assert started.end() == 0
    assert started.logged("stopped")[0]["exit_code"] == 0


def test_a_process_that_is_stuck_is_ended(tmp_path: Path):
    stuck = """
        import os, signal, time
        from kronos_service import signals
        signals.take_over()
        signals.forward(lambda received: print(received.name, flush=True), 0.1, 0.1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1e6)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(stuck)],
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=HANGING_SECONDS,
        check=False,
    )
    assert (run.returncode, run.stdout) == (128 + signal.SIGTERM, "SIGTERM\n")
