"""Stopping a forecast that runs on another thread."""

import threading

from .errors import Stopped


class StopToken:
    """A flag that any thread can set, and that the decoding loop checks before every step."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cause: str | None = None

    @property
    def cause(self) -> str | None:
        """Why it was stopped; None if it was not."""
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
