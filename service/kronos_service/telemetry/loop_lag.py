"""The lag of the event loop: how late it runs what is due."""

from __future__ import annotations

import asyncio
import time
from collections import deque

SAMPLE_SECONDS = 0.1
WINDOW_SECONDS = 60.0


class LoopLag:
    """Measures how much later than asked for ``asyncio.sleep`` returns."""

    def __init__(self) -> None:
        # Newest last, without samples that a later one exceeds: the first is the largest of the window.
        self._peaks: deque[tuple[float, float]] = deque()
        self._due: float | None = None

    async def sample_forever(self) -> None:
        """Take samples until cancelled."""
        while True:
            self._due = time.monotonic() + SAMPLE_SECONDS
            await asyncio.sleep(SAMPLE_SECONDS)
            now = time.monotonic()
            self._add(now, max(0.0, now - self._due))

    def largest_seconds(self) -> float:
        """The largest lag of the last 60 s, including one that has not ended yet. Thread-safe."""
        now = time.monotonic()
        horizon = now - WINDOW_SECONDS
        past = max((lag for when, lag in list(self._peaks) if when >= horizon), default=0.0)
        current = 0.0 if self._due is None else now - self._due
        return max(past, current)

    def _add(self, now: float, lag: float) -> None:
        while self._peaks and self._peaks[-1][1] <= lag:
            self._peaks.pop()
        self._peaks.append((now, lag))
        while self._peaks[0][0] < now - WINDOW_SECONDS:
            self._peaks.popleft()
