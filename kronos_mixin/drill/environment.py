"""The environment of a drill: the mixin as the user configured it, with jobs of its own, and seconds for minutes."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kronos_mixin import windows
from kronos_mixin.drill.faults import RESTART, UNDRILLED, Fault, faults
from kronos_mixin.jsonnet import Mixin

NAME = "kronos-drill"
"""The mixin's name in file names and marks, and the start of the names of its jobs."""

LABEL = "drill"
"""Every target, every recorded series and every alert of a drill has this label, with the value `true`."""

_BURN = ("long", "short")


@dataclass(frozen=True)
class Environment:
    """What is merged for a drill, and the faults that it watches."""

    mixin: Mixin
    faults: tuple[Fault, ...]
    interval: int
    """Seconds between scrapes, and between evaluations."""
    undrilled: Mapping[str, str]
    """Alerts that this drill leaves out, and why."""

    @property
    def instances(self) -> int:
        """How many targets the drill has."""
        return sum(len(fault.well) for fault in self.faults)

    @property
    def seconds(self) -> int:
        """How long the drill takes, about: found by drills, with room for a machine that is busy."""
        long = any("long" in one.labels for fault in self.faults for one in fault.alerts)
        return 20 + (45 if long else 25) * self.interval

    @property
    def job(self) -> str:
        """The scrape job, and the start of the name of each fault's job."""
        return str(self.mixin.config["job"])

    def job_of(self, fault: Fault) -> str:
        """The label `job` of a fault's targets."""
        return f"{self.job}-{fault.name}"


def overrides(
    config: Mapping[str, Any], interval: int, job: str = NAME, alerts: Collection[str] = ()
) -> dict[str, Any]:
    """What a drill lays over the user's configuration (`_config.kronos`); `alerts` are those to drill, none: all.

    Windows hold at least the scrapes and evaluations that the mixin asks for. Thresholds, severities, labels and
    annotations stay the user's.
    """
    step = f"{interval}s"

    def times(count: int) -> str:
        return f"{count * interval}s"

    changed: dict[str, dict[str, Any]] = {}
    for name, knobs in config["alerts"].items():
        drilled = knobs["enabled"] and name not in UNDRILLED and (not alerts or name in alerts)
        changed[name] = {"enabled": drilled, "keepFiringFor": "0s"}
        changed[name] |= {"for": times(2)} if "for" in knobs else {}
        changed[name] |= {"window": times(6)} if "window" in knobs else {}
    restarts = max(1, round(float(config["alerts"]["KronosRestarting"]["threshold"])))
    for name in ("KronosRestarting", "KronosRestartingEverywhere"):
        changed[name]["window"] = times(2 * RESTART * restarts + 4)
    changed["KronosTargetMissing"]["window"] = times(10)
    changed["KronosTargetDown"]["start"] = times(6)
    burns = sorted(config["objectives"]["burn"], key=lambda burn: windows.seconds(burn["long"]))
    return {
        "job": job,
        "selector": f'job=~"{job}(-.+)?"',
        "aggregationLabels": [*config["aggregationLabels"], LABEL],
        "expectedTargets": [{"job": f"{job}-vanished", LABEL: "true"}],
        "histograms": "classic",
        "rateWindow": times(8),
        "evaluationInterval": step,
        "slowEvaluationInterval": step,
        "scrape": {"job": job, "interval": step, "timeout": step},
        "requests": {"sparseWindow": times(16), "guardWindow": times(24)},
        "objectives": {
            "burn": [
                # Windows of their own for each pair: the drill must tell them apart.
                {**burn, "long": times(16 + 2 * place), "short": times(9 + place), "for": times(2)}
                for place, burn in enumerate(burns)
            ]
        },
        "alerts": changed,
        "alertLabels": {LABEL: "true"},
    }


def environment(user: Mixin, shortened: Mixin, deadline: float) -> Environment:
    """The environment of a drill, whose alerts end by themselves at `deadline` (Unix seconds).

    `user` is the mixin under the user's configuration, `shortened` under `overrides` of that as well. Where labels
    of alerts name windows, they are the user's: routes and inhibitions in Alertmanager may ask for them.
    """
    burns = {
        (short["long"], short["short"]): long
        for short, long in zip(
            shortened.config["objectives"]["burn"],
            sorted(user.config["objectives"]["burn"], key=lambda burn: windows.seconds(burn["long"])),
            strict=True,
        )
    }
    groups = copy.deepcopy(shortened.alerts)
    for group in groups:
        for rule in group["rules"]:
            rule["expr"] = f"({rule['expr']}) and on () vector(time()) < {deadline:.0f}"
            labels = rule["labels"]
            if original := burns.get((labels.get("long", ""), labels.get("short", ""))):
                labels |= {key: original[key] for key in _BURN}
            for key in ("summary", "description"):
                rule["annotations"][key] = f"This is a drill. {rule['annotations'][key]}"
    config = copy.deepcopy(dict(shortened.config))
    config["objectives"]["burn"] = [
        {**burn, **{key: burns[burn["long"], burn["short"]][key] for key in _BURN}}
        for burn in config["objectives"]["burn"]
    ]
    interval = int(windows.seconds(shortened.config["scrape"]["interval"]))
    loaded = {rule["alert"] for group in user.alerts for rule in group["rules"]}
    played = tuple(faults(config))
    known = {one.alert for fault in played for one in fault.alerts}
    unknown = {rule["alert"] for group in groups for rule in group["rules"]} - known
    left_out = {name: why for name, why in UNDRILLED.items() if name in loaded}
    left_out |= dict.fromkeys(sorted(unknown), "no fault that sets it off is known here")
    return Environment(
        replace(shortened, name=NAME, alerts=groups, dashboards={}, scrape_configs=[]),
        played,
        interval,
        left_out,
    )


def scrape_job(environment: Environment, discovery: str) -> dict[str, Any]:
    """The scrape job of a drill; `discovery` is the address that answers with its targets."""
    step = f"{environment.interval}s"
    return {
        "job_name": environment.job,
        # Targets have their path in a label.
        "honor_labels": True,
        "scrape_interval": step,
        "scrape_timeout": step,
        "http_sd_configs": [{"url": discovery, "refresh_interval": step}],
    }
