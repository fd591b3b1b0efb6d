"""The times that continue a series, and what was assumed about them.

Times are integers: microseconds on the wall clock since 1970-01-01.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from kronos_service.api.months import following, monthly
from kronos_service.api.sessions import DAY, HOUR, MINUTE, NO_SESSION, WEEKDAYS, Session, learn, weekday

_WEEK = 7 * DAY
_RECENT = 5
_SHORTEST_MONTH = 28 * DAY
_EPOCH = date(1970, 1, 1)
_END = (date.max - _EPOCH).days * DAY + DAY
"""The end of the last year that dates can have, 9999."""


@dataclass(frozen=True)
class Assumed:
    """What the times of a forecast rest on: the step as an ISO 8601 duration, the day it falls on, the session."""

    step: str
    day: str | None = None
    session: Session = NO_SESSION

    def document(self) -> dict[str, object]:
        """The assumptions as the answer shows them."""
        return {"step": self.step, "day": self.day, "session": self.session.document() if self.session else None}


def continue_times(
    times: NDArray[np.int64], elapsed: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], Assumed]:
    """The ``count`` times after ``times`` [T], which has at least two, in order.

    ``elapsed`` [T - 1] is the real time from each candle to the next: other than the difference of the times where
    the clocks were changed.

    The step is the most common difference, the smallest if several are. Up to a day, it leaves out the breaks,
    nights and weekdays without trading that the window shows (see ``sessions``). A week keeps to its weekday, and
    a month, a quarter or a year to the day of the month that most of the series is on. Holidays are not known.

    Raises OverflowError if a time would be after the year 9999.
    """
    forward = np.diff(times)[np.diff(times) > 0]
    steps, counts = np.unique(forward if len(forward) else elapsed, return_counts=True)
    step = int(steps[counts.argmax()])
    if step % DAY == 0:
        times = np.append(times[:-1], _at_the_usual_hour(times))
    if step >= _SHORTEST_MONTH and (found := _by_month(times, count)) is not None:
        return found
    last = int(times[-1])
    if step == _WEEK:
        usual = Counter(weekday(time) for time in times.tolist()).most_common(1)[0][0]
        # A holiday may have moved the last candle by a day or two.
        last += ((usual - weekday(last) + 3) % 7 - 3) * DAY
        return _steps(last, step, count), Assumed(_duration(step), WEEKDAYS[usual])
    session = learn(times, elapsed, step) if step <= DAY else NO_SESSION
    return _steps(last, step, count, session), Assumed(_duration(step), None, session)


def _at_the_usual_hour(times: NDArray[np.int64]) -> int:
    """The last time, but at the hour of most before it: on some days a market closes early.

    An hour more or less is a change of clocks, seen in UTC, and stays.
    """
    last = int(times[-1])
    usual = Counter((times[-_RECENT:] % DAY).tolist()).most_common(1)[0][0]
    moved = abs(last % DAY - usual)
    return last if moved in {HOUR, DAY - HOUR} else last - last % DAY + usual


def _steps(last: int, step: int, count: int, session: Session = NO_SESSION) -> NDArray[np.int64]:
    times = []
    for _ in range(count):
        last = session.after(last, step)
        times.append(last)
    if last >= _END:
        raise OverflowError("the year 10000 is not supported")
    return np.array(times, np.int64)


def _by_month(times: NDArray[np.int64], count: int) -> tuple[NDArray[np.int64], Assumed] | None:
    days = [_EPOCH + timedelta(days=day) for day in (times // DAY).tolist()]
    if (rule := monthly(days)) is None:
        return None
    months, day = rule
    time_of_day = int(times[-1]) % DAY
    found = [(one - _EPOCH).days * DAY + time_of_day for one in islice(following(days[-1], *rule), count)]
    years, rest = divmod(months, 12)
    return np.array(found, np.int64), Assumed(f"P{months}M" if rest else f"P{years}Y", day.name)


def _duration(microseconds: int) -> str:
    """In ISO 8601, such as P1D or PT1H30M."""
    days, rest = divmod(microseconds, DAY)
    minutes, rest = divmod(rest, MINUTE)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest / 1e6:.6f}".rstrip("0").rstrip(".")
    date_part = f"{days}D" if days else ""
    clock = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "") + (f"{seconds}S" if rest else "")
    return "P" + date_part + (f"T{clock}" if clock else "")
