"""From the bytes of a request body to prepared series, or to every place that is wrong with them.

Blocks, and takes a second of CPU for the largest bodies: the routes run it in a thread. Series are checked one
by one, so that the interpreter lock is given up between them and the event loop keeps its pace.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails, from_json

from kronos_service.api.candles import InvalidSeries, Prepared, prepare
from kronos_service.api.errors import MAX_ERRORS, InvalidPlace, Kinds, Problem, invalid
from kronos_service.api.schemas import MAX_QUANTILES, MAX_SERIES_ID_LENGTH, SingleRequest, StrictModel

_MAX_FIELDS = 32
"""Most members of a JSON object that are looked at one by one: more than any schema has."""

_MAX_PARTIAL_ERRORS = 1000
"""Mistakes after which a batch is refused as a whole, even if it asked for partial success."""

_MAX_TOKEN = 64
"""Longest part of a pointer, in characters; the name of an unknown field can be a megabyte."""

_REASONS = {
    "extra_forbidden": "is not a known field",
    "missing": "is missing",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
}


Expect = Callable[[int], None]
"""Told how many series there are before they are looked at: it may raise, and spare the work on what is refused."""


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """The most that one request may ask for."""

    candles: int
    horizon: int
    batch_items: int
    samples: int
    work: int


@dataclass(frozen=True, slots=True)
class Refused:
    """An invalid series of a batch that asked for partial success."""

    series_id: str | None
    problem: Problem


class _Envelope(StrictModel):
    """A batch whose items are not looked at yet."""

    items: list[Any] = Field(min_length=1)
    partial: bool = False


def parse_single(body: bytes, limits: RequestLimits, expect: Expect) -> list[Prepared | Refused]:
    """The one series of a ``SingleRequest`` body, prepared; raises the Problem that says what is wrong."""
    expect(1)
    return _prepare_all([("", _load(body))], limits)


def parse_batch(body: bytes, limits: RequestLimits, expect: Expect) -> list[Prepared | Refused]:
    """The series of a ``BatchRequest`` body, prepared; raises the Problem that says what is wrong.

    With ``partial``, invalid series are Refused, unless all are.
    """
    raw = _load(body)
    if (fault := _too_many_fields(raw, "")) is not None:
        raise invalid([fault])
    if isinstance(raw, dict) and (fault := _too_long(raw.get("items"), "/items", limits.batch_items)):
        raise invalid([fault])
    try:
        batch = _Envelope.model_validate(raw)
    except ValidationError as error:
        raise invalid(list(_places(error, ""))) from None
    expect(len(batch.items))
    items = [(f"/items/{index}", item) for index, item in enumerate(batch.items)]
    return _prepare_all(items, limits, partial=batch.partial)


def _load(body: bytes) -> Any:
    # RFC 8259 lets a parser ignore it; Excel and PowerShell write it.
    body = body.removeprefix(codecs.BOM_UTF8)
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise Problem(Kinds.malformed, "the body is UTF-16 (its first bytes are a byte order mark); send UTF-8 JSON")
    try:
        # NaN and infinities are let through here, to be refused by name and place below.
        return from_json(body, allow_inf_nan=True)
    except ValueError as error:
        # The parser's text names the position and never quotes the body.
        raise Problem(Kinds.malformed, f"{error}; send UTF-8 JSON") from None


def _prepare_all(
    raw_items: Sequence[tuple[str, Any]], limits: RequestLimits, *, partial: bool = False
) -> list[Prepared | Refused]:
    parsed: list[Prepared | Refused] = []
    places: list[InvalidPlace] = []
    for pointer, raw in raw_items:
        try:
            parsed.append(_prepare_one(raw, limits))
        except InvalidSeries as error:
            found = [InvalidPlace(pointer + place.pointer, place.reason) for place in error.places]
            parsed.append(Refused(_series_id(raw), invalid(found)))
            places += found
        if len(places) > (_MAX_PARTIAL_ERRORS if partial else MAX_ERRORS):
            raise invalid(places, more=True)
    prepared = [one for one in parsed if isinstance(one, Prepared)]
    if places and not (partial and prepared):
        raise invalid(places)
    work = sum(one.work for one in prepared)
    if work > limits.work:
        reason = (
            f"candles x horizon x samples, summed over the series, is {work}: at most {limits.work}; "
            "send fewer series, candles, steps or samples"
        )
        raise invalid([InvalidPlace("", reason)])
    return parsed


def _series_id(raw: Any) -> str | None:
    given = raw.get("series_id") if isinstance(raw, dict) else None
    return given if isinstance(given, str) and len(given) <= MAX_SERIES_ID_LENGTH else None


def _prepare_one(raw: Any, limits: RequestLimits) -> Prepared:
    if faults := list(_oversized(raw, limits)):
        raise InvalidSeries(faults)
    try:
        request = SingleRequest.model_validate(raw)
    except ValidationError as error:
        raise InvalidSeries(list(_places(error, ""))) from None
    too_much = [
        InvalidPlace(pointer, f"is {value}: at most {most}")
        for pointer, value, most in (
            ("/horizon", request.horizon or 0, limits.horizon),
            ("/overrides/sample_count", request.overrides.sample_count, limits.samples),
        )
        if value > most
    ]
    if too_much:
        raise InvalidSeries(too_much)
    return prepare(request)


def _oversized(raw: Any, limits: RequestLimits) -> Iterator[InvalidPlace]:
    """What is too large to be validated: a million wrong elements would become a million errors in memory."""
    if not isinstance(raw, dict):
        return
    overrides = raw.get("overrides")
    quantiles = overrides.get("quantiles") if isinstance(overrides, dict) else None
    faults = [
        _too_many_fields(raw, ""),
        _too_many_fields(overrides, "/overrides"),
        _too_long(raw.get("candles"), "/candles", limits.candles),
        _too_long(raw.get("timestamps"), "/timestamps", limits.candles),
        _too_long(raw.get("prediction_timestamps"), "/prediction_timestamps", limits.horizon),
        _too_long(quantiles, "/overrides/quantiles", MAX_QUANTILES),
    ]
    yield from (fault for fault in faults if fault is not None)
    candles = raw.get("candles")
    if isinstance(candles, list) and len(candles) <= limits.candles:
        for row, candle in enumerate(candles):
            if (fault := _too_many_fields(candle, f"/candles/{row}")) is not None:
                yield fault


def _too_many_fields(raw: Any, pointer: str) -> InvalidPlace | None:
    if isinstance(raw, dict) and len(raw) > _MAX_FIELDS:
        return InvalidPlace(pointer, f"has {len(raw)} fields, far more than there are known ones")
    return None


def _too_long(raw: Any, pointer: str, most: int) -> InvalidPlace | None:
    if isinstance(raw, list) and len(raw) > most:
        return InvalidPlace(pointer, f"has {len(raw)} elements: at most {most}")
    return None


def _places(error: ValidationError, prefix: str) -> Iterator[InvalidPlace]:
    for detail in error.errors(include_url=False, include_input=False):
        yield InvalidPlace(prefix + "".join(f"/{_token(part)}" for part in detail["loc"]), _reason(detail))


def _token(part: int | str) -> str:
    text = str(part).replace("~", "~0").replace("/", "~1")
    return text if len(text) <= _MAX_TOKEN else text[:_MAX_TOKEN] + "..."


def _reason(detail: ErrorDetails) -> str:
    message = detail["msg"]
    if detail["type"] == "extra_forbidden" and "\ufeff" in str(detail["loc"][-1]):
        return "is not a known field: its name has a byte order mark (U+FEFF) in it, which is invisible"
    if detail["type"] == "too_short":
        return f"has {detail['ctx']['actual_length']} elements: at least {detail['ctx']['min_length']}"
    return _REASONS.get(detail["type"], message[:1].lower() + message[1:])
