"""Alertmanager's time intervals: whether a time is in one."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS = tuple(name.lower() for name in calendar.month_name)
_RANGE = re.compile(r"(-?\w+)(?::(-?\w+))?")


def within(several: Iterable[Mapping[str, Any]], at: datetime) -> bool:
    """Whether a time is in any of the intervals under one name. Raises ValueError for what can't be read."""
    return any(_within(one, at) for one in several)


def _within(interval: Mapping[str, Any], at: datetime) -> bool:
    """Whether a time fulfils every condition of an interval; none is always fulfilled."""
    location = interval.get("location")
    here = at.astimezone(ZoneInfo(location) if location and location != "Local" else UTC)
    last = calendar.monthrange(here.year, here.month)[1]

    def day(text: str) -> int:
        number = int(text)
        return last + 1 + number if number < 0 else number

    return (
        _any(interval.get("times"), lambda one: _minutes(one["start_time"]) <= _of(here) < _minutes(one["end_time"]))
        and _any(interval.get("weekdays"), lambda one: _in(one, here.isoweekday() % 7, _DAYS.index))
        and _any(interval.get("days_of_month"), lambda one: _in(one, here.day, day))
        and _any(interval.get("months"), lambda one: _in(one, here.month, _month))
        and _any(interval.get("years"), lambda one: _in(one, here.year, int))
    )


def _any(given: Any, holds: Any) -> bool:
    return not given or any(holds(one) for one in given)


def _in(text: str, value: int, number: Any) -> bool:
    match = _RANGE.fullmatch(str(text).strip().lower())
    if match is None:
        raise ValueError(f"{text!r} is no range")
    first = number(match[1])
    last: int = number(match[2]) if match[2] else first
    return bool(first <= value <= last)


def _month(text: str) -> int:
    return _MONTHS.index(text) if text in _MONTHS else int(text)


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _of(at: datetime) -> int:
    return at.hour * 60 + at.minute
