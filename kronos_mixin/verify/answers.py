"""Check of every query of every panel, as the dashboards are compiled, against the server that holds the series."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

from kronos_mixin import promql
from kronos_mixin.verify.api import Api, QueryError
from kronos_mixin.verify.check import Check, Finding, Severity
from kronos_mixin.verify.panel_check import Span
from kronos_mixin.verify.panels import Query, Variable, marks, queries, variables
from kronos_mixin.verify.stack import Stack
from kronos_mixin.verify.words import listed, shortened

SLOW = 5.0
"""Seconds after which somebody who waits for a panel gives up."""

_HOUR, _STEP, _SCRAPE = 3600.0, 30, 15
_AT_ONCE = 4

Choice = Mapping[str, str]
"""The values of a dashboard's variables; those that are not in it are at All."""


@dataclass(frozen=True)
class _Answer:
    """What came of one query: an error, or whether it had any series, and after how many seconds."""

    error: str
    empty: bool
    seconds: float


def _panels(stack: Stack) -> Iterator[Finding]:
    span = Span(stack.now - _HOUR, stack.now, _STEP, _scrape(stack))
    asker = _Asker(stack.prometheus, span)
    errors: dict[str, list[str]] = {}
    empty: dict[str, str] = {}
    slow: dict[str, float] = {}
    for dashboard in stack.mixin.dashboards.values():
        for choice in _choices(stack, dashboard, span):
            asked = [*_filled(dashboard, choice, span)]
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                answers = list(pool.map(lambda query: asker.ask(query.expr, query.instant), asked))
            for query, answer in zip(asked, answers, strict=True):
                place = f"{dashboard['title']}, {query.panel}{_with(choice)}"
                if answer.error:
                    errors.setdefault(answer.error, []).append(place)
                elif answer.empty and asker.should_have(query):
                    empty.setdefault(place, query.expr)
                if answer.seconds > SLOW:
                    slow[place] = max(answer.seconds, slow.get(place, 0))
    yield from _told(stack, errors, empty, slow)


def _told(
    stack: Stack, errors: Mapping[str, Sequence[str]], empty: Mapping[str, str], slow: Mapping[str, float]
) -> Iterator[Finding]:
    for error, places in errors.items():
        yield Finding(
            f"{stack.prometheus.url} refuses {len(places)} queries ({listed(places)}): {shortened(error)}",
            "raise that limit; an error that names our own query is a mistake of ours: please tell us",
        )
    if empty:
        yield Finding(
            f"{listed(list(empty))}: empty, though what is read there is not: {next(iter(empty.values()))}",
            "see how the labels of what it reads differ: relabelling may have taken off one of them",
            severity=Severity.warning,
        )
    if slow:
        slowest = sorted(slow, key=lambda place: -slow[place])
        yield Finding(
            f"{len(slow)} panels take more than {SLOW:g} s, the slowest {slow[slowest[0]]:.1f} s: {listed(slowest)}",
            "give the server more CPU or memory; is the store behind it healthy?",
            severity=Severity.warning,
        )


def _scrape(stack: Stack) -> int:
    intervals = [target.interval for target in stack.targets if target.interval]
    return max(1, round(max(intervals, default=_SCRAPE)))


def _choices(stack: Stack, dashboard: Mapping[str, Any], span: Span) -> list[Choice]:
    """All variables at All, and then each at the value that has the most data."""
    chosen = {
        one.name: value
        for one in variables(dashboard)
        if (value := _busiest(stack.prometheus, one, span)) is not None
    }
    return [{}, chosen] if chosen else [{}]


def _busiest(api: Api, variable: Variable, span: Span) -> str | None:
    total = f"topk(1, sum by ({variable.label}) (sum_over_time({variable.series}[{span.whole}:1m])))"
    try:
        found = [sample.labels.get(variable.label) for sample in api.query(total, at=span.end)]
    except QueryError:  # The queries of the panels will say why.
        found = []
    return found[0] if found else None


def _filled(dashboard: Mapping[str, Any], choice: Choice, span: Span) -> Iterator[Query]:
    patterns = {name: re.escape(value).replace("\\", "\\\\") for name, value in choice.items()}
    yield from queries(dashboard, f"{span.step}s", patterns, rate_interval=span.rate_interval, span=span.whole)
    yield from marks(dashboard, patterns)


def _with(choice: Choice) -> str:
    return f" with {', '.join(f'{name}={value}' for name, value in choice.items())}" if choice else ""


class _Asker:
    """Asks each query once."""

    def __init__(self, api: Api, span: Span) -> None:
        self._api = api
        self._span = span
        self.ask = cache(self._ask)
        self._moved = cache(self._has_moved)

    def should_have(self, query: Query) -> bool:
        """Whether all that an empty query reads had data, for the chosen values, and counted something."""
        if query.instant and not self.ask(query.expr, False).empty:
            return False  # It is about now, and something was there before.
        selectors = promql.read(query.expr, {}).selectors
        return bool(selectors) and not _hides(query.expr) and all(map(self._moved, selectors))

    def _ask(self, expr: str, instant: bool) -> _Answer:
        span, began = self._span, time.monotonic()
        try:
            found: Sequence[Any] = (
                self._api.query(expr, at=span.end)
                if instant
                else self._api.query_range(expr, span.begin, span.end, span.step)
            )
        except QueryError as error:
            if error.status is None:
                raise
            reason = str(error).rpartition(": HTTP ")[2]
            return _Answer(reason, empty=True, seconds=time.monotonic() - began)
        return _Answer("", not found, time.monotonic() - began)

    def _has_moved(self, selector: promql.Selector) -> bool:
        # A label that no series of the name has is why it is empty.
        matchers = [one for one in selector.matchers if self._has_label(selector.name, one.label)]
        chosen = ", ".join(f"{one.label}{one.operator}{_quoted(one.value)}" for one in matchers)
        series = f"{selector.name}{{{chosen}}}[{self._span.whole}]"
        return self._positive(f"sum(increase({series}))" if selector.counted else f"max(max_over_time({series}))")

    def _has_label(self, name: str, label: str) -> bool:
        return self._positive(f'count(last_over_time({name}{{{label}!=""}}[{self._span.whole}]))')

    def _positive(self, expr: str) -> bool:
        try:
            return any(sample.value > 0 for sample in self._api.query(expr, at=self._span.end))
        except QueryError:
            return False


def _hides(expr: str) -> bool:
    """Whether a query shows only what is above something, such as above 0, or what is not elsewhere."""
    return re.search(r"(?:[<>]=?|[!=]=)\s*[\d(]|\bunless\b", expr) is not None


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


CHECKS = (
    Check(
        name="panels-answered",
        looks_at="every query of every panel, with the variables at All and at one value each",
        finds="queries that the server refuses, that stay empty though there was traffic, or that are slow",
        why="A panel that is empty or late tells nothing when it is needed.",
        run=_panels,
        after=("targets-found", "targets-up", "series-present", "series-labels", "histograms", "recorded-series"),
    ),
)
