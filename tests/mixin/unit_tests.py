"""Scenarios as promtool's unit tests of rules: several in one test, each with the rules and series that it needs."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from needs import names, read_by
from scenarios import alerts_of
from scenarios.scenario import Scenario, severity
from simulate import HOUR, MINUTE, input_series

from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import Mixin, evaluate
from proof.servers import promtool
from proof.servers.binaries import Tools

# Scenarios in one promtool test, each an installation of its own. This halves the time.
TOGETHER = 8
# promtool refuses to read more than 10,000 samples at once: of raw series in 2.42, of recorded ones in all versions.
MOST_INSTANCES = 20
MOST_EVALUATIONS = 12 * HOUR / 30


def installations() -> Mixin:
    """The mixin with its defaults and all alerts, for installations that the label `scenario` tells apart."""
    knobs = {
        "aggregationLabels": ["cluster", "namespace", "scenario"],
        "expectedTargets": [{"job": "kronos-api", "scenario": str(number)} for number in range(TOGETHER)],
        "alerts": {"KronosTrafficDropped": {"enabled": True}},
    }
    return evaluate(mixin_path(), {"kronos": knobs})


def slices(mixin: Mixin, scenarios: Iterable[Scenario]) -> dict[frozenset[str], list[Scenario]]:
    """Scenarios by the alerts that are checked in them, which need a part of the rules each."""
    burns = frozenset(name for name in names(mixin) if name.endswith("Burn"))
    others = frozenset(names(mixin) - burns)
    found: dict[frozenset[str], list[Scenario]] = {}
    for scenario in scenarios:
        # A week of all rules takes a minute.
        alerts = burns if scenario.burning else others if scenario.end < 24 * HOUR else frozenset(alerts_of(scenario))
        found.setdefault(alerts, []).append(scenario)
    return found


def batches(scenarios: Iterable[Scenario]) -> list[list[Scenario]]:
    """Scenarios of one pace and about the same length share a test."""
    found: list[list[Scenario]] = []
    for scenario in sorted(scenarios, key=lambda s: (s.step, s.pace, s.end)):
        last = found[-1] if found else []
        instances = sum(len(one.instances) for one in [*last, scenario])
        full = (
            len(last) == TOGETHER
            or instances > MOST_INSTANCES
            or (len(last) + 1) * scenario.end / scenario.pace > MOST_EVALUATIONS
        )
        if not last or (last[0].step, last[0].pace) != (scenario.step, scenario.pace) or full:
            found.append([])
        found[-1].append(scenario)
    return found


def write(batch: list[Scenario], mixin: Mixin, path: Path) -> Path:
    """The test of a batch, with the rules of `mixin` as files beside it; it is about those alerts only."""
    alerts = names(mixin)
    rules = []
    for kind, groups in (("rules", mixin.rules), ("alerts", mixin.alerts)):
        rules.append(path.with_name(f"{path.stem}-{kind}.yml"))
        rules[-1].write_text(json.dumps({"groups": groups}))
    step, end = batch[0].step, max(scenario.end for scenario in batch)
    instances = [
        replace(instance, labels={**instance.labels, "scenario": str(number)})
        for number, scenario in enumerate(batch)
        for instance in scenario.instances
    ]
    test = {
        "interval": f"{step}s",
        "input_series": input_series(instances, end, step, read_by(mixin, alerts)),
        "promql_expr_test": [check for number, one in enumerate(batch) for check in checks(one, number, alerts)],
    }
    file = {
        "rule_files": [str(name) for name in rules],
        "evaluation_interval": f"{batch[0].pace}s",
        # Any other order delays what reads another group by one evaluation, and promtool's own is random.
        "group_eval_order": [group["name"] for group in (*mixin.rules, *mixin.alerts)],
        "tests": [test],
    }
    path.write_text(json.dumps(file))
    return path


def checks(scenario: Scenario, number: int, alerts: Collection[str]) -> list[dict[str, object]]:
    """The scenario's checks as promtool's `promql_expr_test`, as far as they are about some alerts."""
    name, _, long = scenario.about.partition(" ")
    alerts = {name} & set(alerts) if name else alerts
    chosen = f'alertname=~"{"|".join(sorted(alerts))}"' + (f', long="{long}"' if long else "")
    firing = f'ALERTS{{scenario="{number}", alertstate="firing", {chosen}}}'
    found = []
    for minute, expected in scenario.firing.items():
        samples = {
            f'alertname="{name}", severity="{severity(name)}"': n for name, n in expected.items() if name in alerts
        }
        found.append((minute, f"count by (alertname, severity) ({firing})", samples))
    for minute, places in scenario.where.items():
        label = places[0].partition("=")[0]
        values = [place.partition("=")[2] for place in places]
        if scenario.firing[minute].keys() <= alerts:
            found.append((minute, f"count by ({label}) ({firing})", {f'{label}="{value}"': 1 for value in values}))
    for minute, burns in scenario.burning.items():
        told = [(*burn.split(), severity(burn)) for burn in burns if burn.split()[0] in alerts]
        samples = {f'alertname="{name}", long="{long}", severity="{grade}"': 1 for name, long, grade in told}
        found.append((minute, f"count by (alertname, long, severity) ({firing})", samples))
    return [
        {
            "expr": expr,
            "eval_time": f"{round(minute * MINUTE)}s",
            "exp_samples": [{"labels": "{" + labels + "}", "value": count} for labels, count in samples.items()],
        }
        for minute, expr, samples in found
    ]


def failures(tools: Tools, path: Path) -> dict[int, str]:
    """promtool's output for each failed scenario of a batch, by its number."""
    try:
        promtool.test_rules(tools, path)
    except promtool.CheckFailed as error:
        _, *failed = str(error).split("expr: ")
        found: dict[int, str] = {}
        for words in failed:
            number = int(re.search(r'scenario=\\"(\d+)', words)[1])
            found[number] = f"{found.get(number, '')}{words}"
        if not found:
            raise
        return found
    return {}
