"""Checks expressions: do they parse, does what they read exist, and is everything that rules record read?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kronos_mixin import promql
from kronos_mixin.check.finding import Finding
from kronos_mixin.jsonnet import Mixin
from kronos_mixin.series import Known

LEGEND_LABEL = re.compile(r"{{\s*(\w+)\s*}}")

_TEMPLATE_LABEL = re.compile(r"\$labels\.(\w+)")
_FIELD_LABEL = re.compile(r"__field\.labels\.(\w+)")
_LABEL_VALUES = re.compile(r"label_values\((?P<series>.+),\s*(?P<label>\w+)\)$")


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression of the mixin, and the labels of its result that are shown.

    ``holder`` is the rule, panel, variable or annotation that ``text`` is part of. ``shown`` maps places that show
    labels, such as the legend, to those labels.
    """

    file: str
    place: str
    holder: Mapping[str, Any]
    text: str
    reading: promql.Reading
    shown: Mapping[str, set[str]]


def all_of(mixin: Mixin, known: Known) -> list[Expression]:
    """Read every expression of rules, alerts, panels, variables and annotations."""
    found = []
    for rule in (rule for group in mixin.rules for rule in group["rules"]):
        text = rule["expr"]
        found.append(
            Expression("prometheus/kronos-rules.yml", rule["record"], rule, text, promql.read(text, known), {})
        )
    for file, groups in (
        ("prometheus/kronos-alerts.yml", mixin.alerts),
        ("central/kronos-central-alerts.yml", mixin.central),
    ):
        for rule in (rule for group in groups for rule in group["rules"]):
            texts = rule["annotations"] | {f"label {name}": text for name, text in rule.get("labels", {}).items()}
            shown = {key: set(_TEMPLATE_LABEL.findall(text)) for key, text in texts.items()}
            text = rule["expr"]
            found.append(Expression(file, rule["alert"], rule, text, promql.read(text, known), shown))
    for name, dashboard in mixin.dashboards.items():
        for part in (_panels, _variables, _annotations):
            found += part(f"grafana/{name}", dashboard, known)
    return found


def check(mixin: Mixin, expressions: Iterable[Expression]) -> Iterator[Finding]:
    """Report unknown series and labels, unread records, and records that are read before they are made."""
    used: set[str] = set()
    for one in expressions:
        used |= one.reading.series
        yield from (Finding(one.file, one.place, problem) for problem in one.reading.problems)
        if (labels := one.reading.labels) is None:
            continue
        for where, wanted in one.shown.items():
            for label in sorted(wanted - labels.keys()):
                yield Finding(one.file, one.place, f"{where} shows the label {label}, which the result does not have")
    for group in mixin.rules:
        names = [rule["record"] for rule in group["rules"]]
        for place, name in enumerate(names):
            if name not in used:
                sentence = "is recorded, but no rule, alert or panel reads it"
                yield Finding("prometheus/kronos-rules.yml", name, sentence)
            later = promql.read(group["rules"][place]["expr"], {}).series.intersection(names[place + 1 :])
            for other in sorted(later):
                sentence = f"reads {other}, which its group records later: it would read the previous value"
                yield Finding("prometheus/kronos-rules.yml", name, sentence)


def _panels(file: str, dashboard: Mapping[str, Any], known: Known) -> Iterator[Expression]:
    for panel in dashboard["panels"]:
        # A link in the field config is opened from one line, and may use its labels.
        linked = set(_FIELD_LABEL.findall(str([panel.get("fieldConfig"), panel.get("links")])))
        for target in panel.get("targets", []):
            shown = {"the legend": set(LEGEND_LABEL.findall(target["legendFormat"])), "a link": linked}
            place = f"panel {panel['title']!r} {target['refId']}"
            yield Expression(file, place, panel, target["expr"], promql.read(target["expr"], known), shown)


def _variables(file: str, dashboard: Mapping[str, Any], known: Known) -> Iterator[Expression]:
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query" and (match := _LABEL_VALUES.match(variable["query"]["query"])):
            place, text, shown = f"variable ${variable['name']}", match["series"], {"its list": {match["label"]}}
            yield Expression(file, place, variable, text, promql.read(text, known), shown)


def _annotations(file: str, dashboard: Mapping[str, Any], known: Known) -> Iterator[Expression]:
    for annotation in dashboard["annotations"]["list"]:
        place, text = f"annotation {annotation['name']!r}", annotation["expr"]
        shown = {key: set(LEGEND_LABEL.findall(annotation[key])) for key in ("titleFormat", "textFormat")}
        yield Expression(file, place, annotation, text, promql.read(text, known), shown)
