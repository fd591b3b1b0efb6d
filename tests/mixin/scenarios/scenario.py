"""What instances do, and which alerts fire when."""

from __future__ import annotations

from dataclasses import dataclass, field

from simulate import MINUTE, Instance, Request, every

Firing = dict[str, int]

# Whom an alert wakes, and what is for dashboards only; all others are tickets. Of a burn also the window counts.
PAGES = {
    "KronosErrorBudgetBurn 1h",
    "KronosErrorBudgetBurn 6h",
    "KronosHighErrorRate",
    "KronosModelNotReady",
    "KronosNothingSucceeds",
    "KronosRestartingEverywhere",
    "KronosServiceDown",
    "KronosTargetMissing",
}
NOTES = {"KronosTrafficDropped", "KronosVersionSkew"}


def severity(alert: str) -> str:
    return "critical" if alert in PAGES else "info" if alert in NOTES else "warning"


@dataclass
class Scenario:
    """What the instances do, and which alerts fire (name to number) at which minutes."""

    name: str
    instances: list[Instance]
    firing: dict[float, Firing]
    # Routes (or other labels, "label=value") that fire, at which minutes.
    where: dict[float, list[str]] = field(default_factory=dict)
    # Firing budget burns at which minutes, as "alert long-window".
    burning: dict[float, list[str]] = field(default_factory=dict)
    # The only alert that it is about, named as in one of these; others may fire.
    about: str = ""
    # Seconds between two scrapes, and two evaluations.
    step: int = 15
    pace: int = 30

    @property
    def end(self) -> float:
        """Seconds until the last check."""
        return max([*self.firing, *self.burning]) * MINUTE


def one(*requests: list[Request], **knobs: object) -> list[Instance]:
    return [Instance(requests=[r for part in requests for r in part], **knobs)]  # type: ignore[arg-type]


def many(count: int, *different: Instance, **knobs: object) -> list[Instance]:
    """Healthy instances i0, i1, ..., except those given."""
    others = {instance.name: instance for instance in different}
    return [others.get(f"i{n}") or Instance(f"i{n}", every(10), **knobs) for n in range(count)]  # type: ignore[arg-type]


def silent(*minutes: float) -> dict[float, Firing]:
    return {minute: {} for minute in minutes}


def always(firing: Firing, *minutes: float) -> dict[float, Firing]:
    return dict.fromkeys(minutes, firing)


ERRORS = {"KronosHighErrorRate": 1}
SLOW = {"KronosHighLatency": 1}
MODEL = {"KronosSlowInference": 1}
TIMEOUTS = {"KronosHighTimeoutRate": 1}
DOWN = {"KronosServiceDown": 1}
MISSING = {"KronosTargetMissing": 1}
NOTHING = {"KronosNothingSucceeds": 1}
HALF_HOURS = (20, 50, 80, 110)
