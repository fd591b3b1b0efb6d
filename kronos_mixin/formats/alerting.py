"""Alerts as rules that Grafana 12 or newer evaluates itself, in a file for its provisioning folder.

Recording rules stay in Prometheus: what they record is what the alerts read.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from typing import Any

from kronos_mixin.formats.converted import Converted, Place
from kronos_mixin.windows import seconds

_TICK = 10
"""Seconds: Grafana evaluates groups at multiples of this alone."""

_DEFAULT_INTERVAL = "1m"
"""Prometheus' own, for groups that say nothing."""

_EXPRESSION = "__expr__"

_ACTION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_EXTERNAL = re.compile(r"\$externalLabels\.\w+")
_UNKNOWN = re.compile(
    r"(?<![$.\w\"])(query|first|value|strvalue|label|sortByLabel|safeHtml)\b|\$externalLabels|(?<!\w)\.Value\b"
)
"""What actions of Prometheus' templates can do and those of Grafana's can't."""


def convert(groups: list[dict[str, Any]], name: str, folder: str, place: Place) -> Converted:
    """The file ``name``-alerts.yml with a group for each of ``groups``, in Grafana's ``folder``."""
    converted = Converted()
    groups = [group for group in groups if any("alert" in rule for rule in group["rules"])]
    if groups:
        listed = [_group(group, name, folder or name, place, converted.lost) for group in groups]
        if _EXTERNAL.search(str(groups)):
            converted.lost.append("external labels in annotations stay empty: Grafana has none")
        converted.files[f"{name}-alerts.yml"] = {"apiVersion": 1, "groups": listed}
    return converted


def _group(group: Mapping[str, Any], name: str, folder: str, place: Place, lost: list[str]) -> dict[str, Any]:
    interval = str(group.get("interval") or _DEFAULT_INTERVAL)
    if seconds(interval) % _TICK:
        longer = f"{math.ceil(seconds(interval) / _TICK) * _TICK}s"
        lost.append(f"group {group['name']}: interval {interval} becomes {longer}: Grafana takes multiples of 10s")
        interval = longer
    unknown = group.keys() & {"limit", "query_offset", "partial_response_strategy"}
    lost += [f"group {group['name']}: {key} has no counterpart in Grafana" for key in sorted(unknown)]
    alerts = [rule for rule in group["rules"] if "alert" in rule]
    if len(alerts) < len(group["rules"]):
        lost.append(f"group {group['name']}: its recording rules stay in Prometheus, which may evaluate them later")
    seen: dict[str, int] = {}
    rules = []
    for rule in alerts:
        number = seen[rule["alert"]] = seen.get(rule["alert"], 0) + 1
        # The same for the same rule, however many others there are.
        uid = hashlib.sha256("|".join((name, group["name"], rule["alert"], str(number))).encode()).hexdigest()[:32]
        labels = {**group.get("labels", {}), **rule.get("labels", {})}
        rules.append(_rule({**rule, "labels": labels}, uid, place.data_source, lost))
    return {"orgId": 1, "name": group["name"], "folder": folder, "interval": interval, "rules": rules}


def _rule(rule: Mapping[str, Any], uid: str, data_source: str, lost: list[str]) -> dict[str, Any]:
    annotations = {key: _template(text) for key, text in rule.get("annotations", {}).items()}
    for key, text in (*annotations.items(), *rule["labels"].items()):
        unknown = {found[0] for action in _ACTION.findall(text) for found in _UNKNOWN.finditer(action)}
        lost += [
            f"{rule['alert']}: {key} uses {word}, which Grafana's templates do not have" for word in sorted(unknown)
        ]
    times = {"for": rule.get("for"), "keepFiringFor": rule.get("keep_firing_for")}
    return {
        "uid": uid,
        "title": rule["alert"],
        "condition": "C",
        "data": [
            _query(rule["expr"], data_source),
            # To Prometheus whatever is left of an expression fires, be it 0 or not a number.
            _node("B", "math", "is_number($A) || is_nan($A) || is_inf($A)"),
            _node("C", "threshold", "B", conditions=[{"evaluator": {"type": "gt", "params": [0]}}]),
        ],
        **{key: time for key, time in times.items() if time},
        # Nothing found is nothing wrong, and what is no longer found is over.
        "noDataState": "OK",
        "execErrState": "Error",
        "missing_series_evals_to_resolve": 1,
        # A dollar begins a variable of the environment there.
        "labels": {key: text.replace("$", "$$") for key, text in rule["labels"].items()},
        "annotations": annotations,
    }


def _template(text: str) -> str:
    """An annotation with what is something else to Grafana, or nothing.

    Its $value is a text with all queries in it. External labels are those of a Prometheus that sends alerts itself.
    """
    text = _ACTION.sub(lambda action: _EXTERNAL.sub('""', action[0]), text)
    return "{{ $value := $values.A.Value }}" + text if "$value" in text else text


def _query(expr: str, data_source: str) -> dict[str, Any]:
    model = {
        "refId": "A",
        "datasource": {"type": "prometheus", "uid": data_source},
        "expr": expr,
        "instant": True,
        "range": False,
    }
    window = {"from": 600, "to": 0}
    return {"refId": "A", "relativeTimeRange": window, "datasourceUid": data_source, "model": model}


def _node(ref: str, kind: str, expression: str, **more: Any) -> dict[str, Any]:
    source = {"type": _EXPRESSION, "uid": _EXPRESSION}
    model = {"refId": ref, "type": kind, "datasource": source, "expression": expression, **more}
    return {"refId": ref, "datasourceUid": _EXPRESSION, "model": model}
