"""Stopping a forecast that runs on another thread."""

import threading

from .errors import Stopped


class StopToken:
    """A flag that one thread raises and the decoding loop reads before every step. Thread-safe."""

    def __init__(self) -> None:
        """Begin unstopped."""
        self._lock = threading.Lock()
        self._cause: str | None = None

    @property
    def cause(self) -> str | None:
        """Why it was stopped; None while it was not."""
        return self._cause

    def stop(self, cause: str) -> None:
        """Ask for a stop. The first cause stands; later calls change nothing."""
        with self._lock:
            if self._cause is None:
                self._cause = cause

    def check(self) -> None:
        """Raise :class:`Stopped` if a stop was asked for."""
        if self._cause is not None:
            raise Stopped(self._cause)
