"""Sampled log lines, so that a flood of rejected requests does not become a flood of lines."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import NamedTuple

from kronos_service.telemetry import logs

WINDOW_SECONDS = 10.0

_log = logs.get_logger("kronos.request")


class Rejection(NamedTuple):
    """What rejected requests have in common. All values come from closed sets."""

    route: str
    status: str
    code: int | None
    problem: str


class LogSampler:
    """Allows the first lines of each kind of rejection in ``WINDOW_SECONDS``, and counts the rest in one line.

    To be used on the event loop. ``limit`` is the most lines of one kind.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._windows: dict[Rejection, _Window] = {}

    def may_log(self, rejection: Rejection, client: str) -> bool:
        """Whether this request gets a line; if not, it is counted."""
        window = self._windows.get(rejection)
        if window is None:
            window = self._windows[rejection] = _Window()
            asyncio.get_running_loop().call_later(WINDOW_SECONDS, self._close, rejection)
        window.seen += 1
        if window.seen <= self._limit:
            return True
        window.left_out[client] += 1
        return False

    def close(self) -> None:
        """Log now what was left out."""
        for rejection in list(self._windows):
            self._close(rejection)

    def _close(self, rejection: Rejection) -> None:
        window = self._windows.pop(rejection, None)
        if window is not None and window.left_out:
            _log.warning(
                "requests left out",
                **rejection._asdict(),
                left_out=window.left_out.total(),
                clients=dict(window.left_out),
                seconds=WINDOW_SECONDS,
            )


class _Window:
    def __init__(self) -> None:
        self.seen = 0
        self.left_out: Counter[str] = Counter()
