"""Runs the queries of dashboards against a Prometheus with data, and finds panels that are empty or misleading.

Neither Prometheus nor Grafana reports a metric that does not exist, or two lines with the same name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Any

from kronos_mixin import promql
from kronos_mixin.verify.api import Api, QueryError, Series
from kronos_mixin.verify.panels import Query, marks, queries, variables

_PERCENTILE = re.compile(r"\bp(\d+)\b")
_ROUNDING = 1e-9
_NOT_ZERO = " > 0"
_AT_ONCE = 4


@dataclass(frozen=True)
class Span:
    """A time range in Unix seconds, with the step of the panels and the scrape interval, both in seconds."""

    begin: float
    end: float
    step: int
    scrape: int

    @property
    def whole(self) -> str:
        """Its length as a PromQL duration."""
        return f"{self.end - self.begin:.0f}s"

    @property
    def rate_interval(self) -> str:
        """Grafana's $__rate_interval."""
        return f"{max(self.step + self.scrape, 4 * self.scrape)}s"


@dataclass(frozen=True)
class Finding:
    """A problem of a panel with these values of the dashboard's variables; those not in `chosen` are at All."""

    dashboard: str
    panel: str
    reason: str
    query: str = ""
    chosen: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        under = " with " + ", ".join(f"{name}={value}" for name, value in self.chosen) if self.chosen else ""
        return f"{self.dashboard}: {self.panel}{under}: {self.reason}" + (f"\n  {self.query}" if self.query else "")


def check(
    api: Api, dashboards: Mapping[str, Mapping[str, Any]], span: Span, silent: Iterable[str] = ()
) -> list[Finding]:
    """Check every panel of the dashboards (by file name): with all variables at All, then with each at one value.

    Queries over `silent` series, which have no data or never change, may be empty.
    """
    scene = _Scene(api, span, frozenset(silent))
    return [finding for name, dashboard in dashboards.items() for finding in scene.dashboard(name, dashboard)]


def values(api: Api, dashboard: Mapping[str, Any], span: Span) -> dict[str, list[str]]:
    """Return the values that each variable offers; variables without any are left out."""
    offered = {
        variable.name: api.label_values(variable.label, variable.series, span.begin, span.end)
        for variable in variables(dashboard)
    }
    return {name: found for name, found in offered.items() if found}


class _Scene:
    """The series of a server, and queries over them."""

    def __init__(self, api: Api, span: Span, silent: frozenset[str]) -> None:
        self._api = api
        self._span = span
        self._silent = silent
        self._series: dict[str, list[dict[str, str]]] = {}
        for labels in api.series('{__name__=~".+"}', span.begin, span.end):
            self._series.setdefault(labels["__name__"], []).append(labels)
        self._labels = {label for several in self._series.values() for labels in several for label in labels}

    def dashboard(self, name: str, dashboard: Mapping[str, Any]) -> Iterator[Finding]:
        choices = [dict[str, str]()]
        for variable in variables(dashboard):
            offered = self._api.label_values(variable.label, variable.series, self._span.begin, self._span.end)
            if offered:
                choices.append({variable.name: self._busiest(variable.series, variable.label, offered)})
        if len(choices) > 2:  # Then all of them at once.
            choices.append({key: value for choice in choices for key, value in choice.items()})
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for findings in pool.map(lambda choice: list(self._chosen(name, dashboard, choice)), choices):
                yield from findings

    def _busiest(self, series: str, label: str, offered: Sequence[str]) -> str:
        """The value with the most data. For a rare one, panels may rightly be empty."""
        total = f"topk(1, sum by ({label}) (sum_over_time({series}[{self._span.whole}])))"
        found = self._api.query(total, at=self._span.end)
        return found[0].labels[label] if found else offered[0]

    def _chosen(self, name: str, dashboard: Mapping[str, Any], chosen: Mapping[str, str]) -> Iterator[Finding]:
        span = self._span
        under = tuple(chosen.items())
        patterns = {key: re.escape(value).replace("\\", "\\\\") for key, value in chosen.items()}
        try:
            asked = list(
                queries(dashboard, f"{span.step}s", patterns, rate_interval=span.rate_interval, span=span.whole)
            )
            marked = list(marks(dashboard, patterns))
        except KeyError as error:
            yield Finding(name, "all", f"reads the variable {error}, which the dashboard does not have", "", under)
            return
        # Installations need not have all of the labels that could tell them apart.
        unused = {variable.label for variable in variables(dashboard)} - self._labels
        for panel, group in groupby(asked, lambda query: query.panel):
            lines: list[tuple[str, Series]] = []
            for query in group:
                reasons = self._query_problems(query, chosen, unused, lines)
                yield from (Finding(name, panel, reason, query.expr, under) for reason in reasons)
            yield from (Finding(name, panel, reason, "", under) for reason in [*_names(lines), *_percentiles(lines)])
        for query in marked:
            # Annotations may share a name: alerts of one name can fire side by side.
            reasons = self._query_problems(query, chosen, unused, [])
            yield from (Finding(name, query.panel, reason, query.expr, under) for reason in reasons)

    def _query_problems(
        self, query: Query, chosen: Mapping[str, str], unused: Set[str], lines: list[tuple[str, Series]]
    ) -> list[str]:
        """The problems of one query; adds its lines, with their names, to `lines`. No series has `unused` labels."""
        try:
            found = self._run(query)
        except QueryError as error:
            return [f"is refused by Prometheus: {error}"]
        named = [(query.name(series.labels), series) for series in found]
        lines += named
        return [*self._empty(query, found, chosen), *_labels(query, found, unused), *_numbers(query, named)]

    def _run(self, query: Query) -> list[Series]:
        span = self._span
        if query.instant:
            samples = self._api.query(query.expr, at=span.end)
            return [Series(sample.labels, ((sample.timestamp, sample.value),)) for sample in samples]
        return self._api.query_range(query.expr, span.begin, span.end, span.step)

    def _empty(self, query: Query, found: Sequence[Series], chosen: Mapping[str, str]) -> Iterator[str]:
        """Whether it is empty although all series that it reads have data for the chosen values."""
        reads = promql.read(query.expr, dict.fromkeys(self._series)).series
        if unknown := sorted(reads - self._series.keys() - self._silent):
            yield f"reads {', '.join(unknown)}, which has no data"
        elif reads & self._silent or not all(self._has(name, chosen) for name in reads):
            return
        elif not found and not (chosen and self._filtered(query)) and not self._has_fired(query, reads):
            yield "is empty, though there is data for it"

    def _filtered(self, query: Query) -> bool:
        """Whether it is empty only because it hides zeros: nothing happened for the chosen values."""
        everything = query.expr.removesuffix(_NOT_ZERO)
        return everything != query.expr and bool(self._run(replace(query, expr=everything)))

    def _has_fired(self, query: Query, reads: set[str]) -> bool:
        """Whether it is about firing alerts, and empty only because none fires at the end."""
        return query.instant and reads == {"ALERTS"} and bool(self._run(replace(query, instant=False)))

    def _has(self, name: str, chosen: Mapping[str, str]) -> bool:
        """Whether a series of that name has the chosen values, as far as it has those labels."""
        series = self._series[name]
        known = {label for labels in series for label in labels}
        wanted = {label: value for label, value in chosen.items() if label in known}
        return any(all(labels.get(label) == value for label, value in wanted.items()) for labels in series)


def _labels(query: Query, found: Sequence[Series], unused: Set[str]) -> Iterator[str]:
    for label in query.labels:
        if label not in unused and any(label not in series.labels for series in found):
            yield f"its legend {query.legend!r} shows the label {label}, which not all of its series have"


def _numbers(query: Query, lines: Iterable[tuple[str, Series]]) -> Iterator[str]:
    for name, series in lines:
        numbers = [value for _, value in series.points]
        if bad := [value for value in numbers if not math.isfinite(value)]:
            yield f"{name or 'a line'} is {bad[0]} at {len(bad)} of {len(numbers)} points"
            continue
        if query.unit_of(name) == "percentunit":
            low, high = query.bounds.get("min", 0.0), query.bounds.get("max", 1.0)
            if low is not None and min(numbers) < low - _ROUNDING:
                yield f"{name or 'a line'} is a ratio of {min(numbers):g}, below {low:g}"
            if high is not None and max(numbers) > high + _ROUNDING:
                yield f"{name or 'a line'} is a ratio of {max(numbers):g}, above {high:g}"


def _names(lines: Sequence[tuple[str, Series]]) -> Iterator[str]:
    names = [name for name, _ in lines]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{names.count(name)} lines are all named {name!r}"


def _percentiles(lines: Sequence[tuple[str, Series]]) -> Iterator[str]:
    """Report points at which a higher percentile is below a lower one."""
    families: dict[str, list[tuple[int, str, Series]]] = {}
    for name, series in lines:
        if match := _PERCENTILE.search(name):
            families.setdefault(_PERCENTILE.sub("p", name), []).append((int(match[1]), name, series))
    for family in families.values():
        ordered = sorted(family, key=lambda one: float(f"0.{one[0]}"))
        for (_, low, below), (_, high, above) in pairwise(ordered):
            known = dict(below.points)
            wrong = [at for at, value in above.points if value < known.get(at, -math.inf) * (1 - _ROUNDING)]
            if wrong:
                yield f"{high} is below {low} at {len(wrong)} points"
