"""When a market is open, as the times of a window show it.

Times are integers: microseconds on the wall clock since 1970-01-01, a Thursday.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_A_MONDAY = 4 * DAY
_FRIDAY, _SATURDAY, _SUNDAY = 4, 5, 6

_RECENT_DAYS = 15
"""Breaks are learnt from the newest days only: clock changes and new hours move them."""

_MOST_BREAKS = 4
"""Breaks of a day that are kept, the longest first: markets have no more, and the rest is missing candles."""

_LUNCH = 30 * MINUTE
"""A break seen once is believed from this length on, in a market that closes overnight."""


class Break(NamedTuple):
    """How trading goes on after the last candle before a break: ``resumes`` is a time of day."""

    same_day: bool
    resumes: int


@dataclass(frozen=True)
class Session:
    """Weekdays without trading, and what follows a time of day instead of the next step.

    ``weekly`` goes before ``daily``: its keys are a weekday and a time of day, and None means that there is no break.
    """

    closed: frozenset[int] = frozenset()
    daily: dict[int, Break] = field(default_factory=dict)
    weekly: dict[tuple[int, int], Break | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.closed or self.daily or self.weekly)

    def after(self, time: int, step: int) -> int:
        """The time of the next candle."""
        time_of_day, midnight = time % DAY, time - time % DAY
        pause = self.daily.get(time_of_day)
        pause = self.weekly.get((weekday(time), time_of_day), pause)
        following = time + step
        if pause is not None:
            following = midnight + pause.resumes + (0 if pause.same_day else DAY)
        while weekday(following) in self.closed:
            following += DAY
        return following

    def document(self) -> dict[str, object]:
        """The session as the answer shows it."""
        breaks = [{"after": clock(last), "next": clock(pause.resumes)} for last, pause in sorted(self.daily.items())]
        for (day, last), pause in sorted(self.weekly.items()):
            if pause is not None:
                following = self.after(_A_MONDAY + day * DAY + last, 0)
                breaks.append(
                    {
                        "after": f"{WEEKDAYS[day]} {clock(last)}",
                        "next": f"{WEEKDAYS[weekday(following)]} {clock(following)}",
                    }
                )
        return {"weekdays": [name for day, name in enumerate(WEEKDAYS) if day not in self.closed], "breaks": breaks}


NO_SESSION = Session()
"""Candles follow each other without a break."""


def weekday(time: int) -> int:
    """Monday is 0."""
    return (time // DAY + 3) % 7


def clock(time: int) -> str:
    """The time of day, with seconds if it has any."""
    minutes, rest = divmod(time % DAY, MINUTE)
    seconds = f":{rest // 1_000_000:02d}" if rest else ""
    return f"{minutes // 60:02d}:{minutes % 60:02d}{seconds}"


def learn(times: NDArray[np.int64], elapsed: NDArray[np.int64], step: int) -> Session:
    """The session that a window shows; an empty one if it shows none.

    ``times`` [T] are on the wall clock, ``elapsed`` [T - 1] is the real time from each candle to the next, and
    ``step`` is at most a day.
    """
    closed, unseen = _closed_weekdays(times // DAY)
    if step == DAY:
        return Session(closed)
    days = times // DAY
    first = int(np.searchsorted(days, np.unique(days)[-_RECENT_DAYS:][0]))
    seen = _Seen(times[first:], elapsed[first:], step)
    daily = _moved(seen.daily(), seen.night, step)
    nightly = any(not pause.same_day for pause in daily.values())
    if nightly:
        closed |= unseen & {_SATURDAY, _SUNDAY}
    return Session(closed, daily, seen.weekly(daily, closed, nightly=nightly))


def _closed_weekdays(days: NDArray[np.int64]) -> tuple[frozenset[int], frozenset[int]]:
    """Weekdays without trading, and those that the window does not span.

    A Saturday or Sunday without candles says that there is none; any other day may be a holiday, so it takes two.
    """
    weekdays = (np.unique(days) + 3) % 7
    opened = np.bincount(weekdays, minlength=7)
    spanned = np.bincount((np.arange(days[0], days[-1] + 1) + 3) % 7, minlength=7)
    missing = spanned - opened
    sunday_to_thursday = opened[_SUNDAY] > missing[_SUNDAY] and not opened[_FRIDAY]
    weekend = {_FRIDAY, _SATURDAY} if sunday_to_thursday else {_SATURDAY, _SUNDAY}
    closed = frozenset(day for day in range(7) if missing[day] > opened[day] and (day in weekend or missing[day] > 1))
    unseen = frozenset(day for day in range(7) if not spanned[day])
    return (closed if len(closed) < 7 else frozenset()), unseen


class _Seen:
    """What followed each time of day in a window: a break, or the next candle a step later."""

    def __init__(self, times: NDArray[np.int64], elapsed: NDArray[np.int64], step: int) -> None:
        paused = (np.diff(times) > step) & (elapsed > step)
        self.times_of_day = np.unique(times % DAY)
        self.night: tuple[int, int] | None = None
        """The newest night: times of day of the last and of the first candle."""
        self.breaks: defaultdict[tuple[int, int], list[Break]] = defaultdict(list)
        for last, following in zip(times[:-1][paused].tolist(), times[1:][paused].tolist(), strict=True):
            same_day = last // DAY == following // DAY
            if not same_day:
                self.night = last % DAY, following % DAY
            self.breaks[weekday(last), last % DAY].append(Break(same_day, following % DAY))
        going_on = times[:-1][~paused]
        going_on = going_on[np.isin(going_on % DAY, times[:-1][paused] % DAY)]
        self.plain = Counter((weekday(time), time % DAY) for time in going_on.tolist())

    def daily(self) -> dict[int, Break]:
        """The breaks of every day, by the time of the last candle before them."""
        seen: defaultdict[int, list[Break]] = defaultdict(list)
        for (_, last), breaks in self.breaks.items():
            seen[last] += breaks
        plain: Counter[int] = Counter()
        for (_, last), count in self.plain.items():
            plain[last] += count
        usual = {last: _most_common(breaks) for last, breaks in seen.items() if len(breaks) > plain[last]}
        nights = {
            last: one
            for last, one in usual.items()
            if not one.same_day and one.resumes <= last and (len(seen[last]) > 1 or self._is_closed(last, one))
        }
        lunches = {
            last: one
            for last, one in usual.items()
            if one.same_day and (len(seen[last]) > 1 or (nights and one.resumes - last >= _LUNCH))
        }
        longest = sorted((nights | lunches).items(), key=lambda item: (item[1].resumes - item[0]) % DAY)
        return dict(longest[-_MOST_BREAKS:])

    def weekly(
        self, daily: dict[int, Break], closed: frozenset[int], *, nightly: bool
    ) -> dict[tuple[int, int], Break | None]:
        """What differs from ``daily`` on one weekday, by weekday and the time of the last candle.

        Two weeks have to agree. Where trading stops for a weekend but not overnight, one is enough: no other day
        shows that end.
        """
        found: dict[tuple[int, int], Break | None] = {}
        for key, breaks in self.breaks.items():
            once = len(breaks) == 1 and not self.plain[key]
            over_weekend = (key[0] + 1) % 7 in closed and not breaks[0].same_day
            if (once and over_weekend and not nightly) or len(breaks) > max(1, self.plain[key]):
                found[key] = _most_common(breaks)
            elif self.plain[key] > max(1, len(breaks)):
                found[key] = None
        return {key: pause for key, pause in found.items() if pause != daily.get(key[1])}

    def _is_closed(self, last: int, night: Break) -> bool:
        """Whether no candle of any day is between a day's last and the next day's first."""
        return not ((self.times_of_day > last) | (self.times_of_day < night.resumes)).any()


def _moved(daily: dict[int, Break], night: tuple[int, int] | None, step: int) -> dict[int, Break]:
    """The breaks of a day, an hour earlier or later if the newest day began so.

    This is how a change of clocks looks in UTC. Of hourly candles the first one may just be missing: then the evening
    has to agree.
    """
    openings = {pause.resumes: last for last, pause in daily.items() if not pause.same_day}
    if night is None or night[1] in openings:
        return daily
    closed, opened = night
    for shift in (-HOUR, HOUR):
        usual = openings.get(opened - shift)
        if usual is not None and (shift < 0 or step < HOUR or closed - shift == usual):
            return {
                (last + shift) % DAY: Break(pause.same_day, (pause.resumes + shift) % DAY)
                for last, pause in daily.items()
            }
    return daily


def _most_common(breaks: list[Break]) -> Break:
    return Counter(breaks).most_common(1)[0][0]
