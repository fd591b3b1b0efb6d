"""Checks the form of alerts: names, severities, annotations and inhibitions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kronos_mixin.check import templates
from kronos_mixin.check.expressions import Expression
from kronos_mixin.check.finding import Finding
from kronos_mixin.jsonnet import Mixin

SEVERITIES = ("critical", "warning", "info")

_NAME = re.compile(r"Kronos([A-Z][a-z0-9]*)+")
_VARIABLE = re.compile(r"\bvar-(\w+)=")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"(.*)"')


def check(mixin: Mixin, expressions: Iterable[Expression]) -> Iterator[Finding]:
    """Check the form of alerts; their expressions are checked elsewhere."""
    alerts = [one for one in expressions if "alert" in one.holder]
    seen: set[str] = set()
    for alert in alerts:
        problems = [*_identity(alert.holder), *_annotations(alert.holder), *_dashboard(alert.holder, mixin)]
        identity = json.dumps([alert.holder["alert"], alert.holder["labels"]], sort_keys=True)
        if identity in seen:
            problems.append("has the same name and labels as another rule")
        seen.add(identity)
        yield from (Finding(alert.file, alert.place, problem) for problem in problems)
    yield from _inhibitions(mixin, alerts)


def _identity(alert: Mapping[str, Any]) -> Iterator[str]:
    if not _NAME.fullmatch(alert["alert"]):
        yield "is no CamelCase name that begins with Kronos"
    if (severity := alert["labels"].get("severity")) not in SEVERITIES:
        yield f"has the severity {severity}: not one of {', '.join(SEVERITIES)}"
    if "for" not in alert:
        yield "does not say for how long its condition must hold; `0s` if not at all"
    for name, text in alert["labels"].items():
        yield from (f"label {name} {problem}" for problem in templates.problems(text))


def _annotations(alert: Mapping[str, Any]) -> Iterator[str]:
    annotations = alert["annotations"]
    for name in ("summary", "description"):
        text = annotations.get(name, "")
        if not re.fullmatch(r"[A-Z{].*\.", text, re.DOTALL):
            yield f"{name} is no sentence: it must begin with a capital and end with a period"
    if "{{" in annotations.get("summary", ""):
        yield "summary has a template: it must be the same for all alerts of that name, which are grouped under it"
    if alert["alert"] not in annotations.get("runbook_url", ""):
        yield "runbook_url does not lead to a runbook of its own"
    for name, text in annotations.items():
        yield from (f"{name} {problem}" for problem in templates.problems(text))
        if name.endswith("_url") and not text.startswith(("https://", "http://")):
            yield f"{name} is no address"


def _dashboard(alert: Mapping[str, Any], mixin: Mixin) -> Iterator[str]:
    """Check the link to a dashboard. It may be missing: the dashboard may be switched off. A shard has none."""
    url = alert["annotations"].get("dashboard_url")
    if url is None or mixin.config["shard"]:
        return
    linked = [board for board in mixin.dashboards.values() if re.search(rf"/{re.escape(board['uid'])}\b(?!-)", url)]
    if not linked:
        yield "dashboard_url leads to no dashboard of the mixin"
    variables = {variable["name"] for board in linked for variable in board["templating"]["list"]}
    for name in sorted(set(_VARIABLE.findall(url)) - variables) if linked else ():
        yield f"dashboard_url chooses the variable {name}, which the dashboard does not have"


def _inhibitions(mixin: Mixin, alerts: list[Expression]) -> Iterator[Finding]:
    """Report inhibitions that can never match. Alertmanager accepts them, and mutes nothing."""
    file = "alertmanager/alertmanager-example.yml"
    # These may be missing: to Alertmanager a missing label is an empty one, and equal to that of an installation that
    # does not have it either.
    optional = set(mixin.config.get("aggregationLabels", []))
    for number, rule in enumerate(mixin.alertmanager.get("inhibit_rules", []), start=1):
        for side in ("source", "target"):
            place = f"inhibition {number}, {side}"
            matching = [alert for alert in alerts if _matches(alert, rule[f"{side}_matchers"])]
            if not matching:
                yield Finding(file, place, f"matches no alert: {', '.join(rule[f'{side}_matchers'])}")
            for alert in matching:
                labels = {**(alert.reading.labels or {}), **alert.holder["labels"]}
                for label in rule["equal"] if alert.reading.labels is not None else ():
                    if label not in labels and label not in optional:
                        yield Finding(file, place, f"is equal on {label}, which {alert.place} does not have")


def _matches(alert: Expression, matchers: list[str]) -> bool:
    """Whether an alert may match: by its name and the labels of its rule. Labels of its series may be anything."""
    labels = {**alert.holder["labels"], "alertname": alert.holder["alert"]}
    for text in matchers:
        match = _MATCHER.fullmatch(text)
        if match is None:
            return False
        label, operator, value = match.groups()
        found = re.fullmatch(value if "~" in operator else re.escape(value), labels.get(label, ""))
        if label in labels and bool(found) != (operator in {"=", "=~"}):
            return False
    return True
