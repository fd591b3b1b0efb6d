"""What the story knows to have happened, held against what the panels of the overview say.

Only where it is certain: Prometheus makes a rate out of the scrapes in its window, so the requests are counted from
the window's first scrape to its last one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kronos_mixin.contract import Contract
from kronos_mixin.verify.api import Api, Series
from kronos_mixin.verify.panel_check import Finding, Span
from kronos_mixin.verify.panels import Query, queries
from proof.scene.story import BURST, DAY, END, ERRORS, GREEDY, SLOW, Requests, Spell

OVERVIEW = "kronos-dashboard.json"

RATE_TOLERANCE = 0.03
"""Of the mean rate of a route and status."""

LOST = 10
"""Requests that may be missing in all: what is counted between the last scrape and a restart is lost."""

RATIO_TOLERANCE = 0.01
"""Of the share of failed requests, which is between 0 and 1."""

SHARE_TOLERANCE = 0.01
"""How near to 95 % a bucket's boundary may lie for the p95 to be on either side of it."""

_QUIET = Spell(ERRORS.begin - 2 * 3600, ERRORS.begin - 3600)
_FAILED = ("error", "overloaded", "timeout")


def disagreements(
    api: Api, dashboard: Mapping[str, Any], told: Requests, contract: Contract, span: Span
) -> list[Finding]:
    """Every line of the overview that is not what happened; `span.step` must be the scrape interval."""
    truth = _Truth(told, contract, span)
    asked = list(queries(dashboard, f"{span.step}s", rate_interval=span.rate_interval, span=span.whole))

    def lines(title: str, legend: str) -> tuple[Query, list[Series]]:
        query = next(one for one in asked if one.panel.startswith(title) and one.legend.startswith(legend))
        return query, api.query_range(query.expr, span.begin, span.end, span.step)

    return [
        *truth.rates(*lines("Request rate", "{{status}}")),
        *truth.failed(*lines("Error rate", "failed")),
        *truth.p95(*lines("Latency", "p95")),
    ]


class _Truth:
    def __init__(self, told: Requests, contract: Contract, span: Span) -> None:
        self._told = told
        self._span = span
        self._routes = list(contract.label_values["route"])
        self._statuses = list(contract.label_values["status"])
        self._admitted = list(contract.label_values["admitted_status"])
        self._bounds = [float(b) for b in contract.metrics["kronos_request_duration_seconds"].buckets]

    def rates(self, query: Query, lines: list[Series]) -> Iterator[Finding]:
        """The mean of each line over the whole span, for all that happened more than a few times."""
        span = self._span
        minutes = (span.end - span.begin) / 60
        shown = {one.labels["status"]: one for one in lines}
        whole = Spell(span.begin, span.end).holds(self._told.at + (END - DAY))
        for code, status in enumerate(self._statuses):
            count = np.count_nonzero(whole & (self._told.codes["status"] == code))
            if count < 100:
                continue
            known = count / minutes
            line = shown.get(status)
            # Where the line has no point, it is 0.
            said = sum(point for _, point in line.points) * span.step / (span.end - span.begin) if line else 0
            if abs(said - known) > RATE_TOLERANCE * known + LOST / minutes:
                yield self._finding(query, f"{status} is {said:.4g} a minute, but there were {known:.4g}")

    def failed(self, query: Query, lines: list[Series]) -> Iterator[Finding]:
        """The error ratio in the middle of each part of the day."""
        for line in lines:
            route = line.labels["route"]
            for at, said in self._moments(line):
                window = self._window(at)
                eligible = self._rows(window, route, ("success", *_FAILED))
                bad = self._rows(window, route, _FAILED)
                known = len(bad.at) / max(len(eligible.at), 1)
                if abs(said - known) > RATIO_TOLERANCE:
                    yield self._finding(query, f"{route} failed {said:.2%}, but it was {known:.2%}")

    def p95(self, query: Query, lines: list[Series]) -> Iterator[Finding]:
        """The p95 in the middle of each part of the day lies in the bucket of the real one."""
        for line in lines:
            route = line.labels["route"]
            for at, said in self._moments(line):
                durations = np.sort(self._rows(self._window(at), route, self._admitted).values["seconds"])
                place = np.searchsorted(self._bounds, said)
                bounds = (0.0, *self._bounds, np.inf)
                below, above = (
                    np.searchsorted(durations, bounds[place + n], "right") / len(durations) for n in (0, 1)
                )
                if not below - SHARE_TOLERANCE <= 0.95 <= above + SHARE_TOLERANCE:
                    real = np.quantile(durations, 0.95)
                    yield self._finding(query, f"{route} has a p95 of {said:.3g} s, but it was {real:.3g} s")

    def _moments(self, line: Series) -> Iterator[tuple[float, float]]:
        points = dict(line.points)
        for spell in (_QUIET, SLOW, ERRORS, GREEDY, BURST):
            middle = END - DAY + (spell.begin + spell.end) / 2
            at = middle - middle % self._span.scrape
            if at in points and self._span.begin <= at <= self._span.end:
                yield at, points[at]

    def _window(self, at: float) -> Spell:
        """From the first scrape inside the five minutes before to the last one."""
        return Spell(at - 300 + self._span.scrape, at)

    def _rows(self, spell: Spell, route: str, statuses: tuple[str, ...] | list[str]) -> Requests:
        codes = self._told.codes
        chosen = spell.holds(self._told.at + (END - DAY)) & (codes["route"] == self._routes.index(route))
        return self._told.where(chosen & np.isin(codes["status"], [self._statuses.index(name) for name in statuses]))

    @staticmethod
    def _finding(query: Query, reason: str) -> Finding:
        return Finding(OVERVIEW, query.panel, reason, query.expr)
