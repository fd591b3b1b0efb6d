"""Where log lines leave the process, for which nothing in it has to wait.

A line is written by whoever logs it, so that a crash loses nothing that was logged before it. If the other end does
not take it, it waits in a bounded buffer for a thread. Lines beyond that are lost, and counted.
"""

from __future__ import annotations

import os
import select
import socket
import stat
import threading
from collections import deque
from collections.abc import Callable

CAPACITY_BYTES = 2**20
"""What may wait: about two thousand lines."""

PATIENCE_SECONDS = 0.1
"""The longest wait for a file, which cannot be written to without the risk of a wait. After that, it is stalled."""


class Outlet:
    """A file descriptor that takes whole lines. Thread-safe.

    ``on_loss`` is called with the number of lines lost each time that there is room again, and on another thread.
    """

    def __init__(self, descriptor: int, on_loss: Callable[[int], None]) -> None:
        # A copy: whoever closes the original, and opens something else with its number, does not get the log.
        self._descriptor = _copy(descriptor)
        self._on_loss = on_loss
        self._socket: socket.socket | None = None
        self._write_now = self._way()
        # Guards everything below.
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._stalled = False
        self._thread: threading.Thread | None = None
        self._untold = 0
        self._lost = 0
        self._count_loss: Callable[[int], object] = int

    def write(self, line: bytes) -> None:
        """Write a line, or have it written as soon as that is possible."""
        with self._changed:
            written = 0
            if not self._waiting and self._write_now is not None:
                try:
                    written = self._write_now(line)
                except OSError:  # closed
                    self._lose()
                    return
                if written == len(line):
                    return
                self._stalled = True
            # The rest of a line that has begun is always kept.
            if not written and self._waiting_bytes + len(line) > CAPACITY_BYTES:
                self._lose()
                return
            self._put(line[written:])
            if not self._stalled and threading.current_thread() is not self._thread:
                self._stalled = not self._changed.wait_for(lambda: not self._waiting, PATIENCE_SECONDS)

    def flush(self, seconds: float) -> None:
        """Wait until nothing waits, but no longer than ``seconds``."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, seconds)

    def close(self) -> None:
        """Close it. Nothing may be written any more."""
        if self._socket is not None:
            self._socket.close()
        else:
            os.close(self._descriptor)

    def count_losses(self, count: Callable[[int], object]) -> None:
        """Call ``count`` with the number of lines lost so far, and from now on with that of each loss."""
        with self._changed:
            self._count_loss = count
            count(self._lost)

    def _lose(self) -> None:
        self._lost += 1
        self._untold += 1
        self._count_loss(1)

    def _put(self, line: bytes) -> None:
        self._waiting.append(line)
        self._waiting_bytes += len(line)
        self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_waiting, name="log-writer", daemon=True)
            self._thread.start()

    def _write_waiting(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                line = self._waiting[0]
            self._write_slowly(line)
            with self._changed:
                self._waiting.popleft()
                self._waiting_bytes -= len(line)
                if not self._waiting:
                    self._stalled = False
                    self._changed.notify_all()
                untold = self._untold if self._waiting_bytes < CAPACITY_BYTES / 2 else 0
                self._untold -= untold
            if untold:
                self._on_loss(untold)

    def _write_slowly(self, line: bytes) -> None:
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
        except OSError:
            with self._changed:
                self._lose()
                self._untold = 0  # there is nobody to tell

    def _way(self) -> Callable[[bytes], int] | None:
        """A function that writes as much of a line as goes without waiting; None if there is none for this file.

        Not O_NONBLOCK, which would change the file for all processes that have it open, such as a shell.
        """
        mode = os.fstat(self._descriptor).st_mode
        if stat.S_ISFIFO(mode):
            ready = select.poll()
            ready.register(self._descriptor, select.POLLOUT)
            return lambda line: self._write_to_pipe(line, ready)
        if stat.S_ISSOCK(mode):
            self._socket = socket.socket(fileno=self._descriptor)
            return self._send
        return None

    def _write_to_pipe(self, line: bytes, ready: select.poll) -> int:
        written = 0
        # A pipe that is ready has room for this much.
        while written < len(line) and ready.poll(0):
            written += os.write(self._descriptor, line[written : written + select.PIPE_BUF])
        return written

    def _send(self, line: bytes) -> int:
        assert self._socket is not None  # noqa: S101 - it is one
        try:
            return self._socket.send(line, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0


def _copy(descriptor: int) -> int:
    try:
        return os.dup(descriptor)
    except OSError:  # it was closed before the program began
        return os.open(os.devnull, os.O_WRONLY)
