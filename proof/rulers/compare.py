"""Holds what one ruler wrote against what Prometheus did: the same series, similar values, alerts at one time."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kronos_mixin.windows import seconds
from proof.rulers.history import History, Labels, spans
from proof.scene.backfill import STEP

_NOTHING = 1e-9
"""Below it a value is 0: a difference of two equal rates need not be."""


@dataclass(frozen=True)
class Kind:
    """Records that differ for the same reason, and by how much their mean may."""

    name: str
    tolerance: float
    """Relative to the mean in Prometheus."""


LEVELS = Kind("levels, counts and increases over an hour", 0.01)
STEADY = Kind("rates of what goes on all the time", 0.01)
RARE = Kind("rates of what comes and goes", 0.15)
SHARES = Kind("shares and error budgets", 0.15)
KINDS = (LEVELS, STEADY, RARE, SHARES)

_MOSTLY = 0.9
"""What goes on all the time is there at so many of the evaluations."""

AVERAGED = 0.05
"""An alert on an average crosses its threshold later, or earlier, by up to this share of the average's window."""


@dataclass(frozen=True)
class Mean:
    """A record's mean over all of its series and evaluations."""

    record: str
    kind: Kind
    series: int
    ours: float
    theirs: float

    @property
    def difference(self) -> float:
        """Relative to Prometheus; infinite where that has nothing."""
        return self.theirs / self.ours - 1 if self.ours else math.inf if self.theirs else 0.0


def means(ours: History, theirs: History) -> list[Mean]:
    """The mean of each record over the series that both have, by name."""
    by_record: dict[str, list[Labels]] = {}
    for labels in ours.recorded.keys() & theirs.recorded.keys():
        by_record.setdefault(dict(labels)["__name__"], []).append(labels)
    return [
        Mean(
            record,
            _kind(record, [ours.recorded[one] for one in series]),
            len(series),
            _mean([ours.recorded[one] for one in series]),
            _mean([theirs.recorded[one] for one in series]),
        )
        for record, series in sorted(by_record.items())
    ]


def _kind(record: str, series: list[Mapping[float, float]]) -> Kind:
    operation = record.rpartition(":")[2]
    if operation.startswith("ratio"):
        return SHARES
    if not operation.startswith(("rate", "ongoing")):
        return LEVELS
    sums: dict[float, float] = {}
    for values in series:
        for time, value in values.items():
            sums[time] = sums.get(time, 0) + value
    return STEADY if sum(value > _NOTHING for value in sums.values()) >= _MOSTLY * len(sums) else RARE


def _mean(series: list[Mapping[float, float]]) -> float:
    values = [value for one in series for value in one.values()]
    mean = sum(values) / len(values) if values else 0.0
    return mean if abs(mean) > _NOTHING else 0.0


def problems(ours: History, theirs: History) -> Iterator[str]:
    """What is not as it is in Prometheus, a sentence each; none if only what the document names differs."""
    for ruler, some, others in (("Prometheus", ours, theirs), ("VictoriaMetrics", theirs, ours)):
        for labels in sorted(some.recorded.keys() - others.recorded.keys(), key=sorted):
            yield f"{named(labels)} is recorded by {ruler} alone"
    for labels in sorted(ours.recorded.keys() & theirs.recorded.keys(), key=sorted):
        if ours.recorded[labels].keys() != theirs.recorded[labels].keys():
            one, other = len(ours.recorded[labels]), len(theirs.recorded[labels])
            yield f"{named(labels)} has values at {one} evaluations in Prometheus, {other} in VictoriaMetrics"
    for mean in means(ours, theirs):
        if abs(mean.difference) > mean.kind.tolerance:
            yield (
                f"{mean.record} is {mean.difference:+.1%} on average ({mean.theirs:.4g} for {mean.ours:.4g}), and "
                f"{mean.kind.name} may differ by {mean.kind.tolerance:.0%}"
            )
    for labels in sorted(ours.firing.keys() | theirs.firing.keys(), key=sorted):
        here, there = (spans(history.firing.get(labels, {})) for history in (ours, theirs))
        if len(here) != len(there) or any(
            abs(moment - their_moment) > late(labels)
            for span, their_span in zip(here, there, strict=True)
            for moment, their_moment in zip(span, their_span, strict=True)
        ):
            yield f"{named(labels)} fires {_clock(here)} in Prometheus, and {_clock(there)} in VictoriaMetrics"


def late(labels: Labels) -> float:
    """Seconds by which the two may begin, or end, to fire apart: one evaluation, and a share of what is averaged."""
    return STEP + AVERAGED * seconds(dict(labels).get("short", "0s"))


def named(labels: Labels) -> str:
    """A series, as it is written in a query."""
    others = dict(labels)
    name = others.pop("__name__")
    return f"{name}{{{', '.join(f'{label}={value!r}' for label, value in sorted(others.items()))}}}"


def _clock(periods: list[tuple[float, float]]) -> str:
    def clock(moment: float) -> str:
        return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%H:%M:%S")

    return ", ".join(f"from {clock(begin)} to {clock(end)}" for begin, end in periods) or "never"
