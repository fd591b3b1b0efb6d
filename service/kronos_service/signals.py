"""The stop signals, from the first line of the program to its last.

They are blocked in every thread, and one thread waits for them. A handler would not do: Python runs it between two
steps of the main thread, which may be in C for long, and without any the kernel drops signals to process 1 of a
container. Blocked ones it keeps.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import NamedTuple

_STOP = frozenset({signal.SIGTERM, signal.SIGINT})


class _Stopping(NamedTuple):
    on_signal: Callable[[signal.Signals], object]
    first_seconds: float
    later_seconds: float


_stopping: _Stopping | None = None


def take_over() -> None:
    """Take all stop signals from now on. Until ``forward`` says what there is to stop, the first ends the process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
    threading.Thread(target=_wait, name="stop-signals", daemon=True).start()


def forward(on_signal: Callable[[signal.Signals], object], first_seconds: float, later_seconds: float) -> None:
    """Call ``on_signal`` with each signal, on the thread that waits for them.

    If the process has not ended ``first_seconds`` after the first signal or ``later_seconds`` after another, it is
    stuck, and is ended.
    """
    global _stopping  # noqa: PLW0603 - a process has its signals once
    _stopping = _Stopping(on_signal, first_seconds, later_seconds)


def _wait() -> None:
    first = True
    while True:
        received = signal.Signals(signal.sigwait(_STOP))
        if _stopping is None:
            os._exit(0)
        seconds = _stopping.first_seconds if first else _stopping.later_seconds
        first = False
        end = threading.Timer(seconds, os._exit, (128 + received,))
        end.daemon = True
        end.start()
        _stopping.on_signal(received)
