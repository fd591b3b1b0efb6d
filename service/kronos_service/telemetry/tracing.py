"""W3C trace context: the trace that a request belongs to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?", re.ASCII)
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
_FIRST_VERSION, _INVALID_VERSION = "00", "ff"


class Trace(NamedTuple):
    """A trace and the caller's span in it, as 32 and 16 lower-case hexadecimal digits."""

    trace_id: str
    span_id: str


def parse_traceparent(values: Sequence[str]) -> Trace | None:
    """The trace in the ``traceparent`` headers of a request; None unless there is exactly one, and it is valid.

    See https://www.w3.org/TR/trace-context. Later versions may append fields to those of the first.
    """
    match = _TRACEPARENT.fullmatch(values[0]) if len(values) == 1 else None
    if match is None:
        return None
    version, trace_id, span_id, more = match.groups()
    if version == _INVALID_VERSION or (version == _FIRST_VERSION and more is not None):
        return None
    return None if trace_id == _NO_TRACE or span_id == _NO_SPAN else Trace(trace_id, span_id)
