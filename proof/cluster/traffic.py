"""Clients that request forecasts all the time, and remember what became of each request."""

from __future__ import annotations

import threading
import time
from collections import Counter
from types import TracebackType
from typing import Any, Self

import httpx

_PAUSE_SECONDS = 0.05
_PATIENCE_SECONDS = 60.0
_CANDLE = {"open": 10, "high": 12, "low": 9, "close": 11}
_BODY: dict[str, Any] = {
    "candles": [_CANDLE] * 3,
    "timestamps": [f"2026-01-05T09:3{minute}:00Z" for minute in range(3)],
    "horizon": 1,
}


class Clients:
    """So many clients of a service, as a context manager; half of them keep their connections, half connect anew."""

    def __init__(self, url: str, number: int = 4) -> None:
        self.seen: Counter[str] = Counter()
        """How many requests ended how: the status as text, or the kind of failure."""
        self._url = url
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._request, args=(one % 2 == 0,)) for one in range(number)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def answered(self) -> int:
        """How many requests got a forecast so far."""
        return self.seen["200"]

    @property
    def lost(self) -> dict[str, int]:
        """How many did not, by what they got instead."""
        with self._lock:
            return {end: count for end, count in self.seen.items() if end != "200"}

    def _request(self, keeping: bool) -> None:
        headers = {} if keeping else {"Connection": "close"}
        with httpx.Client(trust_env=False, timeout=_PATIENCE_SECONDS, headers=headers) as client:
            while not self._stop.is_set():
                end = _end(client, self._url)
                with self._lock:
                    self.seen[end] += 1
                time.sleep(_PAUSE_SECONDS)


def _end(client: httpx.Client, url: str) -> str:
    try:
        return str(client.post(f"{url}/v1/predict/single", json=_BODY).status_code)
    except httpx.HTTPError as error:
        return type(error).__name__
