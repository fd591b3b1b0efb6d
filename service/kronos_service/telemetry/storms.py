"""Keeps a storm of rejected requests from becoming a storm of log lines."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import NamedTuple

from kronos_service.telemetry import logs

WINDOW_SECONDS = 10.0

_log = logs.get_logger("kronos.request")


class Rejection(NamedTuple):
    """Requests that were turned away for the same reason: values of closed sets only."""

    route: str
    status: str
    code: int | None
    problem: str


class Storms:
    """Lets the first lines of each kind through, and counts the others in a line of its own every 10 s.

    Lives on the event loop.
    """

    def __init__(self, most: int) -> None:
        """``most``: lines of one kind in ``WINDOW_SECONDS``."""
        self._most = most
        self._windows: dict[Rejection, _Window] = {}

    def may_log(self, rejection: Rejection, client: str) -> bool:
        """Whether a request that ended like this gets a line; if not, it is counted."""
        window = self._windows.get(rejection)
        if window is None:
            window = self._windows[rejection] = _Window()
            asyncio.get_running_loop().call_later(WINDOW_SECONDS, self._close, rejection)
        window.seen += 1
        if window.seen <= self._most:
            return True
        window.left_out[client] += 1
        return False

    def close(self) -> None:
        """Say now what was left out."""
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
