"""A program that runs beside ours, and never longer than we do."""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

# Asks Linux to kill the program when we die, however we die, then becomes it: the process id stays.
# Not a `preexec_fn`: Python code between fork and exec can deadlock as soon as there are threads.
_DIE_WITH_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")  # It died before we could ask.
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(f"cannot run {sys.argv[2]}: {error.strerror}")
"""
_TAIL_BYTES = 65536


class ProcessError(Exception):
    """A program ended early or did not become ready; the message has its last lines."""


def free_port() -> int:
    """Return a TCP port that is free on the loopback address now. Another program may take it first."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def with_us(argv: Sequence[str]) -> list[str]:
    """Return a command that runs `argv`, and that Linux kills as soon as the thread that starts it ends."""
    if sys.platform != "linux":
        return list(argv)
    return [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *argv]


class Process:
    """A program with its output in a log file, as a context manager.

    `env` replaces the environment (None: ours), `cwd` is the working folder (None: ours), `log` is
    overwritten, `name` is what messages call it. It runs in its own session, so that Ctrl-C reaches us
    alone and we stop it in order. On Linux it is killed when we are, SIGKILL included.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        log: Path,
        name: str,
    ) -> None:
        self.argv = [str(part) for part in argv]
        self.env = env
        self.cwd = cwd
        self.log = log
        self.name = name
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start the program. Raises OSError when the log can't be written, ProcessError if it runs."""
        if self.running:
            raise ProcessError(f"{self.name} is running already (pid {self.pid}): stop it first.")
        started: queue.SimpleQueue[subprocess.Popen[bytes] | OSError] = queue.SimpleQueue()

        def keep() -> None:
            try:
                child = self._spawn()
            except OSError as error:
                started.put(error)
                return
            started.put(child)
            child.wait()

        # "Parent" means the thread to Linux: one that lives exactly as long as the program must start
        # it, or the program would die with whichever short-lived thread called us.
        threading.Thread(target=keep, name=f"keeps {self.name}", daemon=True).start()
        result = started.get()
        if isinstance(result, OSError):
            raise result
        self._popen = result
        return self

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("wb") as log:
            return subprocess.Popen(
                with_us(self.argv),
                env=self.env,
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int | None:
        """The process id; None before the start."""
        return None if self._popen is None else self._popen.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None before the end."""
        return None if self._popen is None else self._popen.poll()

    @property
    def running(self) -> bool:
        """Whether the program has started and not ended."""
        return self._popen is not None and self._popen.poll() is None

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of what the program wrote; "(nothing)" if it wrote nothing."""
        try:
            with self.log.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(0, size - _TAIL_BYTES))
                text = log.read().decode(errors="replace")
        except FileNotFoundError:
            text = ""
        return "\n".join(text.splitlines()[-lines:]) or "(nothing)"

    def check(self) -> None:
        """Raise ProcessError, with the last lines of the log, unless the program is running."""
        if self._popen is None:
            raise ProcessError(f"{self.name} has not been started.")
        if (code := self.returncode) is not None:
            end = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
            raise ProcessError(f"{self.name} ended with {end}. Its last lines:\n{self.tail()}")

    def wait_http(self, url: str, *, timeout: float = 60, interval: float = 0.05) -> None:
        """Wait until `url` answers with a 2xx status; `timeout` and `interval` are in seconds.

        Raises ProcessError, with the last lines of the log, when the program ends first or time is up.
        """
        deadline = time.monotonic() + timeout
        # No proxy of the environment: the address is on this machine. A short time for one answer, to
        # see soon that the program ended while something else holds its port and says nothing.
        with httpx.Client(trust_env=False, timeout=1) as client:
            while True:
                self.check()
                try:
                    response = client.get(url)
                    if response.is_success:
                        self.check()  # Or it was another program on the same port that answered.
                        return
                    last = f"HTTP {response.status_code} {response.text[:200]}".strip()
                except httpx.HTTPError as error:
                    last = f"{type(error).__name__}: {error}"
                if time.monotonic() > deadline:
                    raise ProcessError(
                        f"{self.name} was not ready at {url} within {timeout:g} s; the last answer was: "
                        f"{last}. Its last lines:\n{self.tail()}"
                    )
                time.sleep(interval)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program; nothing happens if it has ended."""
        if self._popen is not None:
            self._popen.send_signal(number)

    def wait(self, timeout: float) -> int:
        """Wait for the end and return the exit code; raises ProcessError after `timeout` seconds."""
        if self._popen is None:
            raise ProcessError(f"{self.name} has not been started.")
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise ProcessError(f"{self.name} did not end within {timeout:g} s.") from error

    def stop(self, timeout: float = 15) -> None:
        """Ask the program to end (SIGTERM) and kill it after `timeout` seconds, or at once if interrupted."""
        if self._popen is None:
            return
        try:
            self._popen.terminate()
            self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self._popen.kill()
            self._popen.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
