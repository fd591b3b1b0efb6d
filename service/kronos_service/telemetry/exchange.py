"""The record of one HTTP request, from its first byte to its last.

The outermost middleware creates it, the layers below fill it in, and when the request has ended ``recorder`` turns it
into metrics and a log line.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from kronos_service.api.errors import Problem
from kronos_service.telemetry.tracing import Part, Trace

ANONYMOUS = "anonymous"
"""The ``client`` label of callers without a key."""

Stage = Literal["gate", "body", "preprocess", "queue", "inference", "postprocess"]
"""How far a request has come: keys and limits, reading the body, and then as in the metrics."""

_SHORT_ID = 55
"""The longest request id beside which an exemplar has room for a trace and a span."""

CancellationCause = Literal["client_disconnect", "timeout", "shutdown"]


@dataclass(slots=True)
class Exchange:
    """The record of one request.

    ``route`` is a value of the contract's label set ``route``, or None if the request is not counted (probes,
    scrapes, documentation). ``caller`` is who the rate limit and the fair queue go by: a client or an address.
    ``request_bytes`` is None until the whole body has arrived. ``problem`` is the error that was answered, ``error``
    the exception behind a 500. ``client_left`` is true if the connection was lost before the end of the answer, which
    then counts as not sent: ``code`` is None. ``cancelled`` is why an admitted request was stopped, ``timed_out`` the
    stage in which it ran into the time limit. ``milliseconds`` is the time by stage, ``fields`` what else goes into
    the log line. ``parts`` is the time line of a request that ``is_traced``, ``trace`` the server span or, without
    traces of our own, the caller's.
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
    client_left: bool = False
    cancelled: CancellationCause | None = None
    timed_out: Literal["queue", "inference"] | None = None
    milliseconds: dict[str, float] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    is_traced: bool = False
    parts: list[Part] = field(default_factory=list)

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
        """How it ended, as a value of the contract's label set ``status``."""
        if self.problem is not None:
            return self.problem.kind.outcome
        if self.code is None:
            return "cancelled"
        return "success" if self.code < 400 else "error"

    @property
    def exemplar(self) -> dict[str, str]:
        """The labels of an exemplar; OpenMetrics allows 128 characters of names and values."""
        labels = {"request_id": self.request_id}
        if self.trace is not None:
            labels["trace_id"] = self.trace.trace_id
            if len(self.request_id) <= _SHORT_ID:
                labels["span_id"] = self.trace.span_id
        return labels

    @contextmanager
    def timed(self, stage: Literal["preprocess", "postprocess"]) -> Iterator[None]:
        """Note that the request is in ``stage``, and for how long."""
        self.stage = stage
        started = time.perf_counter()
        try:
            yield
        finally:
            ended = time.perf_counter()
            self.spent(stage, ended - started)
            self.part(stage, started, ended)

    def spent(self, stage: str, seconds: float) -> None:
        """Note how long a stage took."""
        self.milliseconds[f"{stage}_ms"] = round(seconds * 1000, 3)

    def part(
        self, name: str, started: float, ended: float, within: str | None = None, **attributes: str | int | float
    ) -> None:
        """Note a part of the time for the trace, if there is one: see ``Part``. Parents come first."""
        if self.is_traced:
            self.parts.append(Part(name, started, ended, within, attributes))
