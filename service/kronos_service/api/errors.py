"""Every error that callers can get, as RFC 9457 ``application/problem+json``.

All errors end as a ``Problem``: a layer raises one, or an exception of its own that ``to_problem`` translates, and
``http.problems`` makes the response. A problem knows how the contract counts it, so that answers and metrics agree.

``type`` is a URN, ``urn:kronos:problem:<slug>``: it names the kind of problem, and there is no page to fetch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kronos_service.forecaster import (
    ForecasterError,
    ForecastInvalid,
    InvalidOutput,
    NotReady,
    OutOfMemory,
    QueueFull,
    Stopped,
    TooMuchWork,
)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:kronos:problem:"

MAX_ERRORS = 100
"""Most places that an answer lists: a body of megabytes can have millions of mistakes."""


SHORTEST_RETRY_SECONDS = 1
LONGEST_RETRY_SECONDS = 300
"""Bounds of Retry-After, whatever was measured."""

LOADING_RETRY_SECONDS = 5
"""What Retry-After says while the model loads."""


class InvalidPlace(NamedTuple):
    """A mistake in a request body: a JSON pointer (RFC 6901; empty for the whole body), and the reason."""

    pointer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Kind:
    """What all problems of one kind share.

    ``outcome`` is the ``status`` label of the contract, ``rejection`` the reason in kronos_rejections_total
    if the request was turned away before any work, ``error_type`` the type in kronos_errors_total.
    """

    slug: str
    status: int
    title: str
    example: str
    outcome: str = "invalid"
    rejection: str | None = None
    error_type: str | None = None


class Kinds:
    """Every kind of problem that the service answers with."""

    malformed = Kind(
        "malformed-json", 400, "The body is not JSON", "expected value at line 1 column 12; send UTF-8 JSON"
    )
    unauthorized = Kind(
        "unauthorized",
        401,
        "No valid API key",
        "send a key as 'Authorization: Bearer <key>' or 'X-API-Key: <key>'",
        outcome="unauthorized",
        rejection="unauthorized",
    )
    forbidden = Kind(
        "forbidden",
        403,
        "Address not allowed",
        "192.0.2.7 is not in an allowed network: call from one, or have KRONOS_ALLOWED_NETWORKS changed",
        outcome="unauthorized",
        rejection="unauthorized",
    )
    not_found = Kind("not-found", 404, "No such path", "no such path: /docs lists the paths")
    method = Kind("method-not-allowed", 405, "Method not allowed", "PUT is not possible here: use POST")
    slow_body = Kind(
        "slow-body", 408, "The body took too long", "the body was not complete after 10 s: send it faster"
    )
    too_large = Kind(
        "body-too-large",
        413,
        "The body is too large",
        "the body is over 16777216 bytes: send fewer or shorter series per request",
        outcome="too_large",
        rejection="too_large",
    )
    encoding = Kind(
        "unsupported-encoding",
        415,
        "Compressed bodies are not supported",
        "Content-Encoding is set: send the body uncompressed",
        rejection="unsupported_encoding",
    )
    media_type = Kind("unsupported-media-type", 415, "The body must be JSON", "send 'Content-Type: application/json'")
    invalid = Kind("invalid-request", 422, "The request is not valid", "2 places are wrong: see errors")
    too_much_work = Kind(
        "too-much-work",
        422,
        "Too much work for the time limit",
        "this takes about 400 s of the model, and 120 s are allowed: send fewer series, a shorter horizon or fewer "
        "samples",
        rejection="too_much_work",
    )
    rate_limited = Kind(
        "rate-limited",
        429,
        "Too many requests",
        "over 120 per 1 minute: wait 13 s",
        outcome="rate_limited",
        rejection="rate_limited",
    )
    not_http = Kind("not-http", 400, "Not an HTTP request", "this is not an HTTP/1.1 request: send one")
    slow_head = Kind(
        "slow-head", 408, "The request took too long", "its headers were not complete after 10 s: send them faster"
    )
    head_too_large = Kind(
        "headers-too-large", 431, "The headers are too large", "they are over 65536 bytes: send fewer or shorter ones"
    )
    client = Kind("client-error", 400, "The request is not valid", "Bad Request")
    client_left = Kind(
        "client-left", 499, "The client disconnected", "the connection was closed", outcome="cancelled"
    )
    inference = Kind(
        "inference",
        500,
        "The model failed",
        "nothing is wrong with the request: try again, and report the request id if it stays",
        outcome="error",
        error_type="inference",
    )
    out_of_memory = Kind(
        "out-of-memory",
        500,
        "Out of memory",
        "the model ran out of memory: send fewer series, candles or samples at once",
        outcome="error",
        error_type="out_of_memory",
    )
    invalid_output = Kind(
        "invalid-output",
        500,
        "The model gave no valid forecast",
        "the forecast was not finite: try another seed or a lower temperature",
        outcome="error",
        error_type="invalid_output",
    )
    internal = Kind(
        "internal",
        500,
        "Internal error",
        "an error of the service, not of the request: report the request id",
        outcome="error",
        error_type="internal",
    )
    overloaded = Kind(
        "overloaded",
        503,
        "Overloaded",
        "the queue holds 1024 of 1024 series, and 1 more were sent: try again in 2 s",
        outcome="overloaded",
        rejection="queue_full",
    )
    not_ready = Kind(
        "not-ready",
        503,
        "The model is not ready",
        "the model is loading: try again in 5 s",
        outcome="unavailable",
        rejection="not_ready",
    )
    stuck = Kind(
        "stuck",
        503,
        "The model is stuck",
        "the model has been in one call for 75 s: restart this instance",
        outcome="unavailable",
    )
    draining = Kind(
        "draining",
        503,
        "The service is shutting down",
        "send the request to another instance",
        outcome="unavailable",
        rejection="draining",
    )
    stopped = Kind(
        "stopped",
        503,
        "The service was stopped",
        "a shutdown stopped this request: send it to another instance",
        outcome="unavailable",
    )
    timeout = Kind(
        "timeout",
        504,
        "Time limit exceeded",
        "no forecast after 120 s, of which 2.1 s in the queue and 117.9 s in the model: send fewer series, a shorter "
        "horizon or fewer samples",
        outcome="timeout",
    )


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """An error answer: its kind, what happened here, and where.

    ``errors`` are the mistakes in the body; only the first ``MAX_ERRORS`` are sent. ``more_errors`` says that the
    check stopped before the end of the body.
    ``retry_after_seconds`` becomes the Retry-After header.
    """

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        errors: Sequence[InvalidPlace] = (),
        retry_after_seconds: int | None = None,
        headers: Mapping[str, str] | None = None,
        status: int | None = None,
        more_errors: bool = False,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = errors[:MAX_ERRORS]
        self.status = status or kind.status
        self.headers = dict(headers or {})
        if retry_after_seconds is not None:
            self.headers["Retry-After"] = str(retry_after_seconds)
        if more_errors or len(errors) > MAX_ERRORS:
            self.detail += f" (the first {len(self.errors)} are listed, there may be more)"

    def body(self, request_id: str) -> dict[str, Any]:
        """The members of the problem document."""
        return {
            "type": TYPE_PREFIX + self.kind.slug,
            "title": self.kind.title,
            "status": self.status,
            "detail": self.detail,
            "errors": [place._asdict() for place in self.errors],
            "request_id": request_id,
        }


def invalid(errors: Sequence[InvalidPlace], *, more: bool = False) -> Problem:
    """The 422 for ``errors``, which must not be empty. ``more``: the check stopped before the end of the body."""
    count = len(errors)
    detail = "1 place is wrong: see errors" if count == 1 else f"{count} places are wrong: see errors"
    return Problem(Kinds.invalid, detail, errors=errors, more_errors=more)


def retry_after(seconds: float) -> int:
    """The value of Retry-After if there will be room in ``seconds``."""
    return min(LONGEST_RETRY_SECONDS, max(SHORTEST_RETRY_SECONDS, math.ceil(seconds)))


def to_problem(error: Exception) -> Problem:
    """Translate any exception. An unknown one is an internal error, whose text goes to the log only."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ForecasterError):
        return _forecaster_problem(error)
    if isinstance(error, MemoryError):
        return Problem(Kinds.out_of_memory, Kinds.out_of_memory.example)
    return Problem(Kinds.internal, Kinds.internal.example)


def _forecaster_problem(error: ForecasterError) -> Problem:
    if isinstance(error, ForecastInvalid):
        return invalid([InvalidPlace("", str(error))])
    if isinstance(error, QueueFull):
        kept = f", {error.reserved} are kept for other callers" if error.reserved else ""
        seconds = retry_after(error.retry_seconds)
        detail = (
            f"the queue holds {error.depth} of {error.capacity} series{kept}, and {error.asked} more were sent: "
            f"try again in {seconds} s"
        )
        return Problem(Kinds.overloaded, detail, retry_after_seconds=seconds)
    if isinstance(error, TooMuchWork):
        return Problem(
            Kinds.too_much_work,
            f"this takes about {error.seconds:.0f} s of the model, and {error.limit:g} s are allowed: send fewer "
            "series, a shorter horizon or fewer samples",
        )
    if isinstance(error, NotReady):
        return Problem(Kinds.not_ready, Kinds.not_ready.example, retry_after_seconds=LOADING_RETRY_SECONDS)
    if isinstance(error, Stopped):
        return Problem(Kinds.stopped, Kinds.stopped.example, retry_after_seconds=SHORTEST_RETRY_SECONDS)
    if isinstance(error, OutOfMemory):
        return Problem(Kinds.out_of_memory, Kinds.out_of_memory.example)
    if isinstance(error, InvalidOutput):
        return Problem(Kinds.invalid_output, Kinds.invalid_output.example)
    return Problem(Kinds.inference, Kinds.inference.example)
