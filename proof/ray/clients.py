"""Clients of the service, and what became of each of their requests."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

import httpx

from kronos_service.api.errors import MEDIA_TYPE, Kind, Kinds
from kronos_service.api.paths import SINGLE_PATH
from proof.scene.live import series
from proof.servers.background import background

_OUTCOMES = {
    f"urn:kronos:problem:{kind.slug}": kind.outcome for kind in vars(Kinds).values() if isinstance(kind, Kind)
}


class Clients:
    """Callers that send one forecast after another.

    ``answers`` counts the answers of the service by their outcome, as in the label ``status``; ``codes`` counts all
    answers by status code, also those that Ray's proxy gave by itself; ``lost`` counts what was not answered by the
    service.
    """

    def __init__(self, url: str) -> None:
        self.answers: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self._url = url
        self._lock = threading.Lock()

    @property
    def sent(self) -> int:
        """Requests that have ended."""
        return sum(self.answers.values()) + sum(self.lost.values())

    @contextlib.contextmanager
    def calling(self, callers: int) -> Iterator[None]:
        """So many callers meanwhile; at the end, those that wait for an answer still get it."""
        with background(self._call, callers):
            yield

    def _call(self, stop: threading.Event) -> None:
        with httpx.Client(base_url=self._url, trust_env=False, timeout=300) as client:
            while not stop.is_set():
                self._count(client)

    def _count(self, client: httpx.Client) -> None:
        try:
            answer = client.post(SINGLE_PATH, json=series(30, 3))
        except httpx.HTTPError as error:
            with self._lock:
                self.lost[type(error).__name__] += 1
            return
        outcome = "success" if answer.is_success else None
        if answer.headers.get("content-type") == MEDIA_TYPE:
            outcome = _OUTCOMES[answer.json()["type"]]
        with self._lock:
            self.codes[str(answer.status_code)] += 1
            if outcome is None:
                self.lost[f"HTTP {answer.status_code}"] += 1
            else:
                self.answers[outcome] += 1
