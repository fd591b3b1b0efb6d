"""One HTTP request from its first byte to its last: what the layers tell each other about it.

The outermost layer (``middleware``) creates it, the others fill it in, and at the end it becomes the request's
metrics and its log line.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from kronos_service.api.errors import Problem
from kronos_service.telemetry.tracing import Trace

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

BROKEN = "kronos.broken"
"""In the ASGI scope of a request whose rest was no HTTP: the Exchange that the server answered in its place."""

ANONYMOUS = "anonymous"
"""The ``client`` label of callers without a key."""

Stage = Literal["gate", "body", "preprocess", "queue", "inference", "postprocess"]
"""How far a request came: limits and keys, reading its body, and then as in the metrics."""

CancellationCause = Literal["client_disconnect", "timeout", "shutdown"]


@dataclass(slots=True)
class Exchange:
    """The record of one request.

    ``route`` is a value of the contract's label set ``route``, or None for what is not counted (probes, the
    scrape, the documentation). ``caller`` is whose limits and whose turn it is: a key's name or an address.
    ``request_bytes`` is None until the whole body is there. ``problem`` is the error that was answered, ``error``
    the exception behind a 500; ``cancelled`` says why an admitted request was stopped, ``timed_out`` where the time
    limit struck. ``milliseconds`` is where the time went, by stage; ``fields`` what the log line says besides.
    """

    request_id: str
    method: str
    path: str
    route: str | None
    client_address: str = "unknown"
    trace: Trace | None = None
    started: float = field(default_factory=time.perf_counter)
    client: str = ANONYMOUS
    caller: str = ANONYMOUS
    stage: Stage = "gate"
    admitted: bool = False
    request_bytes: int | None = None
    response_bytes: int = 0
    code: int | None = None
    problem: Problem | None = None
    error: BaseException | None = None
    cancelled: CancellationCause | None = None
    timed_out: Literal["queue", "inference"] | None = None
    milliseconds: dict[str, float] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def elapsed_seconds(self) -> float:
        """Time since the first byte."""
        return time.perf_counter() - self.started

    @property
    def api_route(self) -> str:
        """The route of a request to one of ``API_PATHS``."""
        assert self.route is not None  # noqa: S101 - each of them is its own route
        return self.route

    @property
    def outcome(self) -> str:
        """How it ended: a value of the contract's label set ``status``."""
        if self.problem is not None:
            return self.problem.kind.outcome
        if self.code is None:
            return "cancelled"
        return "success" if self.code < 400 else "error"

    @property
    def exemplar(self) -> dict[str, str]:
        """What leads from a metric to this request: at most 114 of the 128 characters that OpenMetrics allows."""
        if self.trace is None:
            return {"request_id": self.request_id}
        return {"request_id": self.request_id, "trace_id": self.trace.trace_id}

    @contextmanager
    def timed(self, stage: Literal["preprocess", "postprocess"]) -> Iterator[None]:
        """Note that the request is in ``stage`` now, and how long it stays."""
        self.stage = stage
        started = time.perf_counter()
        try:
            yield
        finally:
            self.spent(stage, time.perf_counter() - started)

    def spent(self, stage: str, seconds: float) -> None:
        """Note the time that one stage took."""
        self.milliseconds[f"{stage}_ms"] = round(seconds * 1000, 3)

    def store(self, scope: MutableMapping[str, Any]) -> None:
        """Make it known to the layers below."""
        scope[_KEY] = self

    @staticmethod
    def find(scope: MutableMapping[str, Any]) -> Exchange | None:
        """The record of the request with this ASGI scope, if it has one already."""
        exchange = scope.get(_KEY)
        return exchange if isinstance(exchange, Exchange) else None

    @staticmethod
    def of(scope: MutableMapping[str, Any]) -> Exchange:
        """The record of the request with this ASGI scope."""
        exchange = scope[_KEY]
        assert isinstance(exchange, Exchange)  # noqa: S101 - nobody else writes the key
        return exchange


def route_of(path: str) -> str | None:
    """The ``route`` label of a path; None for what is not counted."""
    if path in API_PATHS:
        return path
    return None if path in UNCOUNTED_PATHS else UNMATCHED
