"""What a ruler wrote over some hours: recorded series, and when alerts fired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kronos_mixin.verify.api import Api
from proof.scene.backfill import STEP

Labels = frozenset[tuple[str, str]]
"""Of a series, with its name."""

RECORDED = '{__name__=~"job.*:kronos_.*"}'
FIRING = 'ALERTS{alertstate="firing"}'

_OWN = {"alertgroup"}
"""Labels that vmalert alone gives to alerts."""


@dataclass(frozen=True)
class History:
    """Values by Unix second, for each series."""

    recorded: Mapping[Labels, Mapping[float, float]]
    firing: Mapping[Labels, Mapping[float, float]]


def read(api: Api, begin: float, end: float) -> History:
    """Read it back, as it was stored. Raises QueryError."""

    def series(selector: str) -> dict[Labels, dict[float, float]]:
        found: dict[Labels, dict[float, float]] = {}
        # A window does not hold its own beginning.
        for sample in api.query(f"{selector}[{round(end - begin) + 1}s]", end):
            labels = frozenset((name, value) for name, value in sample.labels.items() if name not in _OWN)
            found.setdefault(labels, {})[sample.timestamp] = sample.value
        return found

    return History(series(RECORDED), series(FIRING))


def spans(times: Mapping[float, float]) -> list[tuple[float, float]]:
    """The first and the last evaluation of each period without a gap."""
    found: list[tuple[float, float]] = []
    for time in sorted(times):
        if found and time - found[-1][1] <= STEP:
            found[-1] = (found[-1][0], time)
        else:
            found.append((time, time))
    return found
