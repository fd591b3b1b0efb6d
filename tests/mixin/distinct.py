"""A configuration in which no two knobs have the same value, so that what reads the wrong one shows."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

from kronos_mixin.contract import mixin_path
from kronos_mixin.documents import knobs
from kronos_mixin.jsonnet import evaluate

Path = tuple[str, ...]

# Their values are tied to each other, to the contract, or to the words of a knob.
TIED = {"severity", "enabled", "failedStatuses", "seconds"}


def values(default: Any) -> Iterator[tuple[Path, str]]:
    """For each duration and each number of the alerts and windows a value that no other knob has."""
    durations, numbers = itertools.count(601), itertools.count(101)
    for path, value in knobs.leaves(default):
        if not isinstance(value, str) or not TIED.isdisjoint(path) or path[0] in {"dashboards", "scrape", "loki"}:
            continue
        if re.fullmatch(r"\d+[smhd]", value):
            yield path, f"{next(durations)}s"
        elif re.fullmatch(r"[\d.]+", value):
            yield path, f"0.{next(numbers)}"


def nested(flat: dict[Path, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, value in flat.items():
        inner = found
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        inner[path[-1]] = value
    return found


DISTINCT = dict(values(evaluate(mixin_path()).config))
DISTINCT |= {
    ("rateWindow",): "301s",
    ("requests", "sparseWindow"): "901s",
    ("scrape", "interval"): "16s",
    ("scrape", "timeout"): "11s",
    ("evaluationInterval",): "31s",
    ("slowEvaluationInterval",): "121s",
    ("objectives", "retention"): "10d",
    ("objectives", "window"): "20d",
    ("objectives", "availability", "target"): "0.9911",
    ("objectives", "latency", "target"): "0.9312",
    ("requests", "guardCount"): "2.51",
}
BURN = [
    {"long": "4001s", "short": "401s", "factor": "7.1", "for": "141s", "severity": "critical"},
    {"long": "90001s", "short": "7001s", "factor": "3.1", "for": "142s", "severity": "warning"},
]
KNOBS = nested(DISTINCT) | {
    "alertLabels": {"team": "quant"},
    "alertAnnotations": {"chat": "#quant"},
    "runbookURL": "https://books.test/{alert}",
    "dashboardURL": "https://boards.test/{uid}?{query}",
    "loki": {"enabled": True, "datasource": "team-loki", "selector": 'app="kronos"'},
}
KNOBS["objectives"] |= {"burn": BURN}
for off in ("KronosRayQueue", "KronosRayRequestsLost", "KronosTrafficDropped"):
    KNOBS["alerts"][off]["enabled"] = True
