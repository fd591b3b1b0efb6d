"""Times as callers write them: from text to the wall clock and back.

The model sees the wall clock: minute, hour, weekday, day and month as written. Offsets say how far apart times really
are. The order of candles goes by them, so that a series can span a change of clocks.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kronos_service.api.errors import InvalidPlace

_TIME = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})((?P<separator>[Tt ])(?P<minute>\d{2}:\d{2})"
    r"((?P<second>:\d{2})(\.(?P<fraction>\d+))?)?(?P<offset> ?([Zz]|[+-]([01]\d|2[0-3])(:?[0-5]\d)?))?)?",
    re.ASCII,
)
_EXAMPLES = "2024-01-31T09:30:00Z, 2024-01-31 09:30 or 2024-01-31"
_DECIMALS = 6
_WIDEST = len("2024-01-31T09:30:00.123456")

_LARGEST_CLOCK_CHANGE = 2 * 60
"""Minutes by which clocks are put forward or back: nearly everywhere it is an hour."""

_SHORTEST_SEASON = 7 * 24 * 3600 * 1_000_000
"""Microseconds. An offset that holds for less is a mistake, not summer time."""


@dataclass(frozen=True)
class Times:
    """One list of times.

    Attributes:
        pointer: where it is in the request.
        index: on the wall clock, in microseconds; NaT where invalid.
        texts: as written.
        offsets: minutes east of UTC; NaN where none is written.
    """

    pointer: str
    index: pd.DatetimeIndex
    texts: list[str]
    offsets: NDArray[np.float64]

    @cached_property
    def instants(self) -> pd.DatetimeIndex:
        """In UTC; without offsets, on the wall clock."""
        return self.index - pd.to_timedelta(np.nan_to_num(self.offsets), unit="min").as_unit("us")


def parse(texts: list[str], pointer: str, places: list[InvalidPlace]) -> Times:
    """Read a list of times; adds those that are none to ``places``."""
    local: list[str | None] = []
    offsets: list[float] = []
    reasons: dict[int, str] = {}
    for row, text in enumerate(texts):
        match = _TIME.fullmatch(text)
        fraction = (match["fraction"] or "") if match else ""
        if match is None:
            reasons[row] = _reason(text)
        elif fraction[_DECIMALS:].strip("0"):
            reasons[row] = f"is finer than a microsecond: give at most {_DECIMALS} decimals"
        if match is None or row in reasons:
            local.append(None)
            offsets.append(np.nan)
            continue
        clock = f"{match['minute'] or '00:00'}{match['second'] or ':00'}"
        local.append(f"{match['date']}T{clock}.{fraction[:_DECIMALS] or '0'}")
        offsets.append(_minutes(match["offset"]))
    parsed = pd.to_datetime(pd.Series(local, dtype="str"), format="ISO8601", errors="coerce")
    index = pd.DatetimeIndex(parsed).as_unit("us")
    # RFC 3339 and pandas accept the year 0, which no calendar has.
    exists = index.notna() & (index.year > 0)
    for number in np.flatnonzero(~exists).tolist():
        reasons.setdefault(number, "does not exist")
    places += [InvalidPlace(f"{pointer}/{row}", reason) for row, reason in sorted(reasons.items())]
    return Times(pointer, pd.DatetimeIndex(index.where(exists)), texts, np.array(offsets, np.float64))


def write(index: pd.DatetimeIndex, like: Sequence[str]) -> list[str]:
    """The times in the format of the newest of ``like`` that has a time of day, with more digits where needed."""
    forms = (_TIME.fullmatch(text) for text in reversed(like))
    form = next((form for form in forms if form and form["minute"]), None)
    if form is None and (index == index.normalize()).all():
        return [time.date().isoformat() for time in index.to_pydatetime()]
    separator, offset = (form["separator"], form["offset"] or "") if form else ("T", "")
    width = len(form["fraction"] or "") if form else 0
    if (index.microsecond % 10 ** max(0, _DECIMALS - width) != 0).any():
        width = _DECIMALS
    precision = "minutes" if form and not form["second"] and (index.second == 0).all() else "seconds"
    if not width:
        return [time.isoformat(separator, precision) + offset for time in index.to_pydatetime()]
    exact = (time.isoformat(separator, "microseconds").ljust(_WIDEST + width, "0") for time in index.to_pydatetime())
    return [text[: _WIDEST - _DECIMALS + width] + offset for text in exact]


def check(past: Times, future: Times | None, places: list[InvalidPlace]) -> None:
    """Add times that are out of order or whose offsets make no sense to ``places``."""
    lists = [past] if future is None else [past, future]
    _check_offsets(lists, places)
    for times in lists:
        _check_order(times, places)
    if future is not None and len(past.instants):
        for row in np.flatnonzero(future.instants <= past.instants[-1]):
            reason = f"is not after the last candle, {past.texts[-1]}"
            places.append(InvalidPlace(f"{future.pointer}/{row}", reason))


def _reason(text: str) -> str:
    stripped = text.replace("\ufeff", "")
    if stripped != text and _TIME.fullmatch(stripped):
        return "has a byte order mark (U+FEFF) in it, which is invisible: remove it"
    return f"is not an RFC 3339 time such as {_EXAMPLES}"


@lru_cache(maxsize=1024)
def _minutes(offset: str | None) -> float:
    if offset is None:
        return np.nan
    digits = offset.strip(" :Zz").replace(":", "")
    if not digits:
        return 0.0
    minutes = int(digits[1:3]) * 60 + int(digits[3:] or 0)
    return -minutes if digits[0] == "-" else minutes


def _check_offsets(lists: Sequence[Times], places: list[InvalidPlace]) -> None:
    """A series has offsets everywhere or nowhere, and they change as clocks do: by little, and not often."""
    valid = [np.flatnonzero(times.index.notna()) for times in lists]
    offsets = np.concatenate([times.offsets[rows] for times, rows in zip(lists, valid, strict=True)])
    without = np.isnan(offsets)
    if without.all():
        return
    faults: dict[int, str] = {}
    if without.any():
        wrong, reason = without, "has no offset, but other times of this series have one"
        if without.mean() > 0.5:
            wrong, reason = ~without, "has an offset, but other times of this series have none"
        faults = dict.fromkeys(np.flatnonzero(wrong).tolist(), f"{reason}: write it in all or in none")
    elif (offsets != offsets[0]).any():
        instants = np.concatenate([times.instants[rows].asi8 for times, rows in zip(lists, valid, strict=True)])
        faults = dict(_implausible(offsets, instants))
    if not faults:
        return
    pointers = [f"{times.pointer}/{row}" for times, rows in zip(lists, valid, strict=True) for row in rows]
    places += [InvalidPlace(pointers[row], reason) for row, reason in sorted(faults.items())]


def _implausible(offsets: NDArray[np.float64], instants: NDArray[np.int64]) -> Iterator[tuple[int, str]]:
    """Rows whose offset does not follow from summer time, and why."""
    changes = (np.flatnonzero(np.diff(offsets)) + 1).tolist()
    for start, end in itertools.pairwise(changes):
        if instants[end] - instants[start] < _SHORTEST_SEASON:
            reason = f"has the offset {_named(offsets[start])}, but times shortly before and after have another"
            yield from ((row, f"{reason}: write the wall clock of one place") for row in range(start, end))
    for row in changes:
        before, after = offsets[row - 1], offsets[row]
        if abs(after - before) > _LARGEST_CLOCK_CHANGE:
            reason = f"has the offset {_named(after)}, but the time before it has {_named(before)}"
            yield row, f"{reason}: clocks change by an hour or two, so write the wall clock of one place"


def _named(minutes: float) -> str:
    hours, rest = divmod(abs(int(minutes)), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}:{rest:02d}"


def _check_order(times: Times, places: list[InvalidPlace]) -> None:
    instants = times.instants
    # Comparisons with NaT are false, so a time that could not be parsed is not reported twice.
    for row in (np.flatnonzero(instants[1:] <= instants[:-1]) + 1).tolist():
        same = instants[row] == instants[row - 1]
        reason = "is the same as the time before it" if same else "is earlier than the time before it: sort by time"
        if np.isnan(times.offsets[row]):
            reason += " (if a clock was put back, write offsets)"
        places.append(InvalidPlace(f"{times.pointer}/{row}", reason))
