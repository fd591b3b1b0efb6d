"""Finds what is wrong with a mixin before a Prometheus or a Grafana has to."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kronos_mixin import promql
from kronos_mixin.compile import leftovers
from kronos_mixin.contract import Contract
from kronos_mixin.jsonnet import Mixin

_LEGEND_LABEL = re.compile(r"{{\s*(\w+)\s*}}")
_TEMPLATE_LABEL = re.compile(r"\$labels\.(\w+)")
_VARIABLE = re.compile(r"label_values\((?P<series>.+),\s*(?P<label>\w+)\)$")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: in which file, at which rule or panel, and what."""

    file: str
    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.place}: {self.message}" if self.place else f"{self.file}: {self.message}"


def check(mixin: Mixin, contract: Contract, files: Mapping[str, str], output: Path) -> list[Finding]:
    """Every finding, in the order of the files.

    ``files`` is what the mixin compiles to today, ``output`` where the committed files lie.
    """
    return [
        *drift(files, output),
        *expressions(mixin, contract),
        *promtool(output),
    ]


def drift(files: Mapping[str, str], output: Path) -> Iterator[Finding]:
    """Committed files that are not what the mixin compiles to."""
    remedy = "run `python build.py compile`"
    for name, text in files.items():
        path = output / name
        if not path.is_file():
            yield Finding(name, "", f"is missing in {output}: {remedy}")
        elif path.read_bytes() != text.encode():
            yield Finding(name, "", f"is not what the mixin compiles to: {remedy}, and commit the result")
    for path in leftovers(files, output):
        yield Finding(str(path.relative_to(output)), "", f"is not made by the mixin any more: {remedy}")


def expressions(mixin: Mixin, contract: Contract) -> Iterator[Finding]:
    """Expressions that don't parse, or read what nothing exposes; labels and recorded series that lead nowhere."""
    known = _scraped(contract, mixin.config.get("aggregationLabels", []))
    rules_file, alerts_file = "prometheus/kronos-rules.yml", "prometheus/kronos-alerts.yml"
    used: set[str] = set()
    recorded: list[str] = []

    # All names first: a rule may read what a later group records. Their labels follow as they become known.
    rules = [rule for group in mixin.rules for rule in group["rules"]]
    known |= {rule["record"]: None for rule in rules}
    for rule in rules:
        reading = promql.read(rule["expr"], known)
        known[rule["record"]] = reading.labels
        recorded.append(rule["record"])
        used |= reading.series
        yield from _findings(rules_file, rule["record"], reading)

    for rule in (rule for group in mixin.alerts for rule in group["rules"]):
        reading = promql.read(rule["expr"], known)
        used |= reading.series
        yield from _findings(alerts_file, rule["alert"], reading)
        for key, text in rule["annotations"].items():
            yield from _missing(alerts_file, rule["alert"], key, set(_TEMPLATE_LABEL.findall(text)), reading.labels)

    for name, dashboard in mixin.dashboards.items():
        for place, expression, legend in _queries(dashboard):
            reading = promql.read(expression, known)
            used |= reading.series
            yield from _findings(f"grafana/{name}", place, reading)
            wanted = set(_LEGEND_LABEL.findall(legend))
            yield from _missing(f"grafana/{name}", place, "the legend", wanted, reading.labels)

    for name in recorded:
        if name not in used:
            yield Finding(rules_file, name, "is recorded, but no rule, alert or panel reads it")


def promtool(output: Path) -> Iterator[Finding]:
    """What promtool says about the rule files; nothing where promtool is not on PATH."""
    program = shutil.which("promtool")
    if program is None:
        return
    for path in sorted((output / "prometheus").glob("kronos-*.yml")):
        done = subprocess.run([program, "check", "rules", str(path)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            yield Finding(str(path.relative_to(output)), "promtool", (done.stderr or done.stdout).strip())


def _scraped(contract: Contract, aggregation_labels: list[str]) -> dict[str, promql.Labels | None]:
    """Every series of a scrape, with its own labels, the target's, and those that tell installations apart."""
    target = frozenset([*contract.target_labels, *aggregation_labels])
    known: dict[str, promql.Labels | None] = {
        name: target | frozenset(labels) for name, labels in contract.all_exposed_series().items()
    }
    # An alert carries the labels of its own expression.
    return known | {"ALERTS": None, "ALERTS_FOR_STATE": None}


def _queries(dashboard: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Place, expression and legend of every panel's queries and every variable."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield f"panel {panel['title']!r} {target['refId']}", target["expr"], target["legendFormat"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query" and (match := _VARIABLE.match(variable["query"]["query"])):
            place = f"variable ${variable['name']}"
            yield place, match["series"], "{{" + match["label"] + "}}"


def _findings(file: str, place: str, reading: promql.Reading) -> Iterator[Finding]:
    return (Finding(file, place, problem) for problem in reading.problems)


def _missing(file: str, place: str, where: str, wanted: set[str], labels: promql.Labels | None) -> Iterator[Finding]:
    for label in sorted(wanted - labels) if labels is not None else ():
        yield Finding(file, place, f"{where} shows the label {label}, which the result does not have")
