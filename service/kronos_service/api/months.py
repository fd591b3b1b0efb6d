"""Candles by the month, the quarter or the year: which day of the month they are on."""

from __future__ import annotations

import calendar
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import NamedTuple

_SATURDAY = 5
_ORDINALS = ("first", "second", "third", "fourth", "fifth")
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Month(NamedTuple):
    """A month of a year."""

    year: int
    month: int

    @classmethod
    def of(cls, day: date) -> Month:
        """The month of a day."""
        return cls(day.year, day.month)

    def plus(self, months: int) -> Month:
        """The month that many later."""
        years, month = divmod(self.month - 1 + months, 12)
        return Month(self.year + years, month + 1)

    def minus(self, other: Month) -> int:
        """Months from ``other`` to this one."""
        return (self.year - other.year) * 12 + self.month - other.month


@dataclass(frozen=True)
class Rule:
    """A day in every month."""

    name: str
    day: Callable[[Month], int]

    def holds(self, day: date) -> bool:
        """Whether a candle of this day follows the rule."""
        return self.day(Month.of(day)) == day.day


def monthly(days: list[date]) -> tuple[int, Rule] | None:
    """How many months apart candles are, and the rule that most of them follow; None if there is none.

    Two candles say nothing about weekdays, and neither does a constant number of days, such as four weeks.
    """
    pairs = list(pairwise(days))
    months = Counter(Month.of(after).minus(Month.of(before)) for before, after in pairs).most_common(1)[0][0]
    if months < 1:
        return None
    rules = [_LAST_DAY, *(_day_of_month(day) for day in sorted({day.day for day in days}, reverse=True))]
    if len({after - before for before, after in pairs}) > 1:
        rules += [_LAST_WEEKDAY, _FIRST_WEEKDAY, _nth_weekday(days[-1])]
    best = max(rules, key=lambda rule: sum(rule.holds(day) for day in days))
    followed = sum(best.holds(day) for day in days)
    return (months, best) if 2 * followed > len(days) else None


def following(last: date, months: int, rule: Rule) -> Iterator[date]:
    """The days after ``last``, without end; raises OverflowError after the year 9999."""
    month = Month.of(last)
    while (month := month.plus(months)).year <= date.max.year:
        yield date(*month, rule.day(month))
    raise OverflowError("the year 10000 is not supported")


def _length(month: Month) -> int:
    return calendar.monthrange(*month)[1]


def _day_of_month(day: int) -> Rule:
    return Rule(str(day), lambda month: min(day, _length(month)))


def _last_weekday(month: Month) -> int:
    last = date(*month, _length(month))
    return last.day - max(0, last.weekday() - _SATURDAY + 1)


def _first_weekday(month: Month) -> int:
    first = date(*month, 1).weekday()
    return 1 if first < _SATURDAY else 8 - first


def _nth_weekday(day: date) -> Rule:
    number, weekday = (day.day - 1) // 7, day.weekday()

    def nth(month: Month) -> int:
        return 1 + (weekday - date(*month, 1).weekday()) % 7 + 7 * number

    return Rule(f"{_ORDINALS[number]} {_WEEKDAYS[weekday]}", lambda month: min(nth(month), _length(month)))


_LAST_DAY = Rule("last", _length)
_LAST_WEEKDAY = Rule("last weekday", _last_weekday)
_FIRST_WEEKDAY = Rule("first weekday", _first_weekday)
