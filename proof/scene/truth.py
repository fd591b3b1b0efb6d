"""Compares the panels of the overview with what happened in the story.

Prometheus computes a rate from the scrapes in its window, so requests are counted from the first to the last of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kronos_mixin.contract import Contract
from kronos_mixin.drill.story import BURST, DAY, END, ERRORS, GREEDY, SLOW, Requests, Spell
from kronos_mixin.verify.api import Api, Series
from kronos_mixin.verify.panel_check import Finding, Span
from kronos_mixin.verify.panels import Query, queries

OVERVIEW = "kronos-dashboard.json"

RATE_TOLERANCE = 0.03
"""Relative to the mean rate of a status."""

LOST = 10
"""Requests that may be missing in total: those between the last scrape and a restart are never scraped."""

RATIO_TOLERANCE = 0.01
"""Absolute, for the share of failed requests (0 to 1)."""

SHARE_TOLERANCE = 0.01
"""If the share of requests below a bucket boundary is this close to 95 %, the p95 may be on either side of it."""

_QUIET = Spell(ERRORS.begin - 2 * 3600, ERRORS.begin - 3600)
_FAILED = ("error", "overloaded", "timeout")


def disagreements(
    api: Api, dashboard: Mapping[str, Any], requests: Requests, contract: Contract, span: Span
) -> list[Finding]:
    """Lines of the overview that differ from what happened; `span.step` must be the scrape interval."""
    truth = _Truth(requests, contract, span)
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
    def __init__(self, requests: Requests, contract: Contract, span: Span) -> None:
        self._requests = requests
        self._span = span
        self._routes = list(contract.label_values["route"])
        self._statuses = list(contract.label_values["status"])
        self._admitted = list(contract.label_values["admitted_status"])
        self._bounds = [float(b) for b in contract.metrics["kronos_request_duration_seconds"].buckets]

    def rates(self, query: Query, lines: list[Series]) -> Iterator[Finding]:
        """Check the mean of each line over the whole span, for statuses with enough requests."""
        span = self._span
        minutes = (span.end - span.begin) / 60
        shown = {one.labels["status"]: one for one in lines}
        whole = Spell(span.begin, span.end).holds(self._requests.at + (END - DAY))
        for code, status in enumerate(self._statuses):
            count = np.count_nonzero(whole & (self._requests.codes["status"] == code))
            if count < 100:
                continue
            known = count / minutes
            line = shown.get(status)
            # Missing points are 0.
            said = sum(point for _, point in line.points) * span.step / (span.end - span.begin) if line else 0
            if abs(said - known) > RATE_TOLERANCE * known + LOST / minutes:
                yield self._finding(query, f"{status} is {said:.4g} a minute, but there were {known:.4g}")

    def failed(self, query: Query, lines: list[Series]) -> Iterator[Finding]:
        """Check the error ratio in the middle of each period."""
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
        """Check that in the middle of each period the p95 lies in the bucket of the real one."""
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
        """From the first to the last scrape in the five minutes before `at`."""
        return Spell(at - 300 + self._span.scrape, at)

    def _rows(self, spell: Spell, route: str, statuses: tuple[str, ...] | list[str]) -> Requests:
        requests, codes = self._requests, self._requests.codes
        chosen = spell.holds(requests.at + (END - DAY)) & (codes["route"] == self._routes.index(route))
        return requests.where(chosen & np.isin(codes["status"], [self._statuses.index(name) for name in statuses]))

    @staticmethod
    def _finding(query: Query, reason: str) -> Finding:
        return Finding(OVERVIEW, query.panel, reason, query.expr)
