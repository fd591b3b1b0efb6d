"""Plays the faults of a drill, and watches each alert on its way: Prometheus, Alertmanager, and back."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kronos_mixin.drill.environment import LABEL, Environment
from kronos_mixin.drill.faults import Expected, Fault
from kronos_mixin.drill.server import Cast
from kronos_mixin.drill.watch import Alert, Look, Servers


class Stage(enum.StrEnum):
    """The way of an alert, in order."""

    pending = "pending"
    firing = "firing"
    arrived = "arrived"
    resolved = "resolved"
    gone = "gone"


@dataclass
class Case:
    """An alert that a fault sets off, and when (Unix seconds) it reached each stage."""

    fault: Fault
    expected: Expected
    job: str
    labels: Mapping[str, str]
    """Those of its rule."""
    began: float = 0.0
    mended: float = 0.0
    times: dict[Stage, float] = field(default_factory=dict)
    sent: Alert | None = None
    """As Alertmanager had it."""

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert with these labels is the one that is meant."""
        wanted = {"alertname": self.expected.alert, "job": self.job, **self.expected.labels}
        return all(labels.get(label) == value for label, value in wanted.items())

    def arrived_as(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert with these labels in Alertmanager is the one: relabelling may have taken some away."""
        ours = LABEL in labels or "job" in labels
        wanted = {"alertname": self.expected.alert, "job": self.job, LABEL: "true", **self.expected.labels}
        return ours and all(labels.get(label, value) == value for label, value in wanted.items())

    def follow(self, look: Look) -> Iterator[str]:
        """Note which stages it has reached, and say what is new."""
        states = {one.state for one in look.firing if self.matches(one.labels)}
        there = next((one for one in look.sent or () if self.arrived_as(one.labels)), None)
        if states and self._reach(Stage.pending):
            yield "is pending"
        if "firing" in states and self._reach(Stage.firing):
            yield "fires"
        if there is not None and Stage.firing in self.times:
            # Another alert may mute it for a moment only.
            if self.sent is None or there.inhibited_by or not self.sent.inhibited_by:
                self.sent = there
            if self._reach(Stage.arrived):
                yield f"is in Alertmanager, for {', '.join(there.receivers)}"
        if self.mended and Stage.firing in self.times and "firing" not in states and self._reach(Stage.resolved):
            yield "is resolved"
        if there is None and {Stage.arrived, Stage.resolved} <= self.times.keys() and self._reach(Stage.gone):
            yield "is gone from Alertmanager"

    def _reach(self, stage: Stage) -> bool:
        if stage in self.times:
            return False
        self.times[stage] = time.time()
        return True


def cases_of(environment: Environment) -> list[Case]:
    """Every alert that the drill expects."""
    rules = [rule for group in environment.mixin.alerts for rule in group["rules"]]
    return [
        Case(fault, expected, environment.job_of(fault), _labels(rules, expected))
        for fault in environment.faults
        for expected in fault.alerts
    ]


def _labels(rules: Iterable[Mapping[str, Any]], expected: Expected) -> Mapping[str, str]:
    found = (rule["labels"] for rule in rules if rule["alert"] == expected.alert)
    labels: Mapping[str, str] = next(one for one in found if expected.labels.items() <= one.items())
    return labels


class Play:
    """Plays all faults, each as soon as its job is well, and mends it once its alerts have arrived."""

    def __init__(
        self, cast: Cast, servers: Servers, cases: list[Case], hold: float, say: Callable[[str], None]
    ) -> None:
        """A fault goes on for `hold` seconds after the last of its alerts has arrived; `say` hears what is new."""
        self._servers, self._say, self._hold = servers, say, hold
        self._runs = [
            _Run(fault, [case for case in cases if case.fault is fault], cast) for fault in cast.environment.faults
        ]
        self._interval = cast.environment.interval
        self._patience = 45.0 + 40 * self._interval
        # Prometheus sends an alert at the evaluation in which it begins to fire.
        self._sending = 10.0 + 5 * self._interval

    def __call__(self) -> None:
        """Return when all faults have ended, or nothing more is to be waited for. Raises AnswerError."""
        while going_on := [run for run in self._runs if run.acts]:
            if (look := self._servers.look()) is not None:
                for run in going_on:
                    self._go_on(run, look)
            time.sleep(self._interval / 2)

    def _go_on(self, run: _Run, look: Look) -> None:
        for case in run.cases:
            if case.began:
                for words in case.follow(look):
                    self._say(f"{case.expected} {words}")
        act = {_Act.begin: self._begun, _Act.mend: self._mended, _Act.end: self._ended}[run.acts[0]]
        if act(run, look):
            run.acts.pop(0)
            run.since = time.monotonic()

    def _begun(self, run: _Run, look: Look) -> bool:
        """Let the fault begin after a window of good traffic. A job that does not become well is tried as it is."""
        now, job = time.monotonic(), run.cases[0].job
        quiet = look.ready.get(job, 0) >= len(run.fault.well)
        if not quiet or any(one.labels.get("job") == job for one in look.firing):
            run.well = now
        if now - run.well < 9 * self._interval and now - run.since < self._patience:
            return False
        run.cast.make_ill(run.fault)
        for case in run.cases:
            case.began = time.time()
        return True

    def _mended(self, run: _Run, look: Look) -> bool:
        if not self._seen(run, look):
            return False
        run.cast.make_well(run.fault)
        for case in run.cases:
            case.mended = time.time()
        return True

    def _seen(self, run: _Run, look: Look) -> bool:
        """Whether a fault has lasted long enough: all that is to be seen of it has been, or will not be."""
        fired = [case.times[Stage.firing] for case in run.cases if Stage.firing in case.times]
        if len(fired) < len(run.cases):
            return time.monotonic() - run.since > self._patience
        there = [case.times[Stage.arrived] for case in run.cases if Stage.arrived in case.times]
        if look.sent is None or len(there) == len(fired):
            return time.time() - max(there or fired) >= self._hold
        return time.time() - max(fired) > self._sending + self._hold

    def _ended(self, run: _Run, _: Look) -> bool:
        open_ = [
            case
            for case in run.cases
            if Stage.firing in case.times
            and (Stage.gone if Stage.arrived in case.times else Stage.resolved) not in case.times
        ]
        return not open_ or time.monotonic() - run.since > self._patience


class _Act(enum.Enum):
    begin = enum.auto()
    mend = enum.auto()
    end = enum.auto()


@dataclass
class _Run:
    """A fault that is played. Times are of the monotonic clock."""

    fault: Fault
    cases: list[Case]
    cast: Cast
    acts: list[_Act] = field(default_factory=lambda: list(_Act))
    """Those that are still to come."""
    since: float = field(default_factory=time.monotonic)
    """When the current act began."""
    well: float = field(default_factory=time.monotonic)
    """Since when all is well before the fault."""
