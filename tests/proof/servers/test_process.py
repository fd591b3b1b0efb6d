from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from proof.servers.process import Process, ProcessError, free_port

ROOT = Path(__file__).parents[3]
SLEEP = [sys.executable, "-c", "import time; print('sleeping', flush=True); time.sleep(600)"]
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""


def gone(pid: int, timeout: float = 10) -> bool:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            # A container may have nobody to bury the dead.
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def wait_for_line(process: Process, line: str) -> None:
    deadline = time.monotonic() + 10
    while line not in process.tail():
        assert time.monotonic() < deadline, process.tail()
        time.sleep(0.02)


def test_stops_with_sigterm(tmp_path):
    with Process(SLEEP, log=tmp_path / "log", name="sleeper") as process:
        wait_for_line(process, "sleeping")
        assert process.running
        assert process.pid is not None
    assert not process.running
    assert process.returncode == -signal.SIGTERM
    assert gone(process.pid)
    process.stop()  # Again is harmless.


def test_kills_what_does_not_listen(tmp_path):
    process = Process([sys.executable, "-c", DEAF], log=tmp_path / "log", name="deaf").start()
    wait_for_line(process, "deaf")
    process.stop(timeout=0.2)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_after_an_exception(tmp_path, error):
    process = Process(SLEEP, log=tmp_path / "log", name="sleeper")
    with pytest.raises(error), process:
        raise error
    assert process.pid is not None
    assert gone(process.pid)


def test_is_not_killed_with_the_thread_that_started_it(tmp_path):
    process = Process(SLEEP, log=tmp_path / "log", name="sleeper")
    thread = threading.Thread(target=process.start)
    thread.start()
    thread.join()
    wait_for_line(process, "sleeping")
    time.sleep(0.2)
    assert process.running
    process.stop()


def test_says_how_it_ended(tmp_path):
    script = "print('line one'); raise SystemExit('out of beans')"
    process = Process([sys.executable, "-c", script], log=tmp_path / "log", name="The shop").start()
    with pytest.raises(ProcessError, match=r"The shop ended with exit code 1\. .*\nline one\nout of beans"):
        process.wait_http(f"http://127.0.0.1:{free_port()}/", timeout=10)
    assert process.wait(1) == 1
    with pytest.raises(ProcessError, match="exit code 1"):
        process.check()


def test_says_which_signal_ended_it(tmp_path):
    process = Process(SLEEP, log=tmp_path / "log", name="sleeper").start()
    wait_for_line(process, "sleeping")
    process.send(signal.SIGUSR1)
    process.wait(10)
    with pytest.raises(ProcessError, match="ended with signal SIGUSR1"):
        process.check()


def test_a_program_that_is_not_there(tmp_path):
    process = Process(["no-such-program"], log=tmp_path / "log", name="ghost").start()
    with pytest.raises(ProcessError, match="cannot run no-such-program: No such file or directory"):
        process.wait_http("http://127.0.0.1:9/", timeout=10)


def test_a_log_that_cannot_be_written(tmp_path):
    with pytest.raises(FileNotFoundError):
        Process(SLEEP, log=tmp_path / "no/log", name="sleeper").start()


def test_not_started(tmp_path):
    process = Process(SLEEP, log=tmp_path / "log", name="sleeper")
    assert process.tail() == "(nothing)"
    assert process.pid is None
    assert not process.running
    process.stop()
    process.send(signal.SIGTERM)
    for call in (process.check, lambda: process.wait(1)):
        with pytest.raises(ProcessError, match="sleeper has not been started"):
            call()


def test_starts_once(tmp_path):
    with (
        Process(SLEEP, log=tmp_path / "log", name="sleeper") as process,
        pytest.raises(ProcessError, match="is running already"),
    ):
        process.start()


def test_environment_and_folder(tmp_path):
    script = "import os; print(os.environ['GREETING'], os.getcwd(), sorted(os.environ))"
    process = Process(
        [sys.executable, "-c", script],
        env={"GREETING": "hello", "LC_ALL": "C.UTF-8"},
        cwd=tmp_path,
        log=tmp_path / "log",
        name="greeter",
    ).start()
    assert process.wait(10) == 0
    assert process.tail() == f"hello {tmp_path} ['GREETING', 'LC_ALL']"


def test_the_tail_of_a_long_log(tmp_path):
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert Process(SLEEP, log=log, name="x").tail(2) == "line 99998\nline 99999"


def test_waits_for_http(tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # Which must not be asked.
    port = free_port()
    argv = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    (tmp_path / "ready").write_text("yes")
    with Process(argv, cwd=tmp_path, log=tmp_path / "log", name="files") as process:
        process.wait_http(f"http://127.0.0.1:{port}/ready", timeout=10)
        with pytest.raises(ProcessError, match=r"not ready .* within 0\.1 s; the last answer was: HTTP 404"):
            process.wait_http(f"http://127.0.0.1:{port}/absent", timeout=0.1)
        with pytest.raises(ProcessError, match="ConnectError"):
            process.wait_http(f"http://127.0.0.1:{free_port()}/", timeout=0.1)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a program when its parent is killed")
def test_dies_with_a_killed_parent(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from proof.servers.process import Process\n"
        f"process = Process({SLEEP!r}, log=Path(sys.argv[1]), name='x').start()\n"
        "print(process.pid, flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "log")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        try:
            assert psutil.pid_exists(pid)
        finally:
            parent.kill()
    assert gone(pid)


def test_a_free_port():
    port = free_port()
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", port))
