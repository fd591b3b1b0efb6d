"""Whether a client that has closed its sending side still waits for its answer.

A client that half-closes sends the same packet as one that is gone, but a byte sent to the latter is answered with a
reset. Every answer begins with the same bytes, so they are sent ahead, one at a time, at growing intervals: whoever
waits gets them as the start of its answer, and the others are found out.
"""

from __future__ import annotations

import asyncio

_START = b"HTTP/1.1 "
_FIRST_SECONDS = 0.5
"""How long nothing is sent ahead: most answers are there by then, and arrive in one piece."""

_PAUSE_SECONDS = 0.05
_FACTOR = 3.5
"""The pause after the first byte is for a reset to arrive. It grows so that the bytes last for the longest time limit
that can be set, 300 s."""


class Probe:
    """The transport of one answer, of which the start is sent ahead.

    It has what uvicorn's answers use: ``write``, ``close`` and ``is_closing``.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._sent = 0
        self._timer: asyncio.TimerHandle | None = loop.call_later(_FIRST_SECONDS, self._send_ahead, _PAUSE_SECONDS)

    def write(self, data: bytes) -> None:
        """Write the answer, without what was sent ahead of it."""
        self.stop()
        self._transport.write(data[self._sent :])
        self._sent = 0

    def close(self) -> None:
        """Close the connection."""
        self.stop()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection is closed, or about to be."""
        return self._transport.is_closing()

    def stop(self) -> None:
        """Send nothing more ahead."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send_ahead(self, pause: float) -> None:
        self._timer = None
        # A reset that has arrived meanwhile makes this write fail, and the connection is lost.
        self._transport.write(_START[self._sent : self._sent + 1])
        self._sent += 1
        if self._sent < len(_START) and not self._transport.is_closing():
            self._timer = self._loop.call_later(pause, self._send_ahead, pause * _FACTOR)
