"""One HTTP request from its first byte to its last: what the layers tell each other about it.

The outermost layer (``middleware``) creates it, the others fill it in, and at the end it becomes the request's
metrics and its log line.
"""

from __future__ import annotations

import time
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any

from kronos_service.errors import Problem

SINGLE_PATH = "/v1/predict/single"
BATCH_PATH = "/v1/predict/batch"
API_PATHS = frozenset({SINGLE_PATH, BATCH_PATH})
"""The paths that are limited and measured."""

HEALTH_PATH = "/v1/healthz"
READY_PATH = "/v1/readyz"
INFO_PATH = "/v1/info"
METRICS_PATH = "/v1/metrics"
DOCS_PATH = "/docs"
OPENAPI_PATH = "/openapi.json"
UNCOUNTED_PATHS = frozenset({HEALTH_PATH, READY_PATH, INFO_PATH, METRICS_PATH, DOCS_PATH, OPENAPI_PATH})
"""The paths that are in no request metric."""

UNMATCHED = "unmatched"
"""The ``route`` label of every other path."""

_KEY = "kronos.exchange"

ANONYMOUS = "anonymous"
"""The ``client`` label of callers without a key."""


@dataclass(slots=True)
class Exchange:
    """The record of one request.

    ``route`` is a value of the contract's label set ``route``, or None for what is not counted (probes, the
    scrape, the documentation). ``request_bytes`` is None until the whole body is there. ``problem`` is the error
    that was answered, ``error`` the exception behind a 500, ``fields`` what the log line says besides.
    """

    request_id: str
    method: str
    route: str | None
    started: float = field(default_factory=time.perf_counter)
    client: str = ANONYMOUS
    admitted: bool = False
    request_bytes: int | None = None
    response_bytes: int = 0
    code: int | None = None
    problem: Problem | None = None
    error: BaseException | None = None
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def elapsed_seconds(self) -> float:
        """Time since the first byte."""
        return time.perf_counter() - self.started

    @property
    def outcome(self) -> str:
        """How it ended: a value of the contract's label set ``status``."""
        if self.problem is not None:
            return self.problem.kind.outcome
        if self.code is None:
            return "cancelled"
        return "success" if self.code < 400 else "error"

    def store(self, scope: MutableMapping[str, Any]) -> None:
        """Make it known to the layers below."""
        scope[_KEY] = self

    @staticmethod
    def of(scope: MutableMapping[str, Any]) -> Exchange:
        """The record of the request with this ASGI scope."""
        exchange = scope[_KEY]
        assert isinstance(exchange, Exchange)  # noqa: S101 - nobody else writes the key
        return exchange
