"""Changes to what a mixin holds, in YAML: alerts, recording rules and dashboards of any mixin, by name.

alerts:
  NodeClockNotSynchronising: {enabled: false}
  NodeFilesystemAlmostOutOfSpace:
    - match: {severity: critical}
      for: 1h
rules:
  instance:node_load1_per_cpu:ratio: {enabled: false}
dashboards:
  nodes.json: {tags: [linux]}
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kronos_mixin import config, promql, queries
from kronos_mixin.config import ConfigError, Data, Number, meant
from kronos_mixin.jsonnet import Mixin
from kronos_mixin.promql import variables

_DURATION = re.compile(r"(?=.)(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_ALERT = ("enabled", "match", "severity", "for", "keep_firing_for", "labels", "annotations")
_SECTIONS = {"alerts": _ALERT, "rules": ("enabled",), "dashboards": ("enabled", "tags")}
_KNOBS = {"enabled": "enabled", "severity": "severity", "for": "for", "keep_firing_for": "keepFiringFor"}
_OF_JSONNET = {"expr", "expression", "query", "threshold", "value", "record", "alert", "panels", "title"}

_Place = tuple[str, ...]
_Rule = Mapping[str, Any]
_Groups = list[dict[str, Any]]


def read(path: Path) -> Data:
    """Read an overlay. Raises ConfigError."""
    data = config.read(path)
    if not isinstance(data, Data):
        raise ConfigError(f"{path}: an overlay is YAML; what Jsonnet changes, import and extend the mixin there")
    return data


def apply(mixin: Mixin, overlays: Iterable[Data]) -> Mixin:
    """The mixin with the changes of all overlays, one after the other. Raises ConfigError, with file and line."""
    for overlay in overlays:
        mixin = _Overlay(mixin, overlay).applied()
    return mixin


class _Overlay:
    """One file over one mixin: collects all that is wrong before it gives up."""

    def __init__(self, mixin: Mixin, data: Data) -> None:
        self._mixin = mixin
        self._data = data
        self._problems: list[str] = []

    def applied(self) -> Mixin:
        for section in self._data:
            if section not in _SECTIONS:
                kind = " Knobs belong in a file for --config." if section in {"kronos", "_config"} else ""
                self._wrong((section,), f"no such section: {section}. {meant(section, _SECTIONS)}{kind}")
        changes = self._alerts(self._section("alerts"))
        dashboards = self._dashboards(self._section("dashboards"))
        dropped = self._dropped(self._section("rules"))

        def change(rule: _Rule) -> _Rule | None:
            return None if rule.get("record") in dropped else _changed(rule, changes.get(id(rule), ()))

        alerts, rules = (_regrouped(groups, change) for groups in (self._mixin.alerts, self._mixin.rules))
        changed = dataclasses.replace(self._mixin, alerts=alerts, dashboards=dashboards, rules=rules)
        for name, place in dropped.items():
            if readers := _readers(changed, name):
                more = f" and {len(readers) - 5} more" if len(readers) > 5 else ""
                self._wrong(place, f"{name} is read by {', '.join(readers[:5])}{more}: drop those, too, or keep it")
        if self._problems:
            raise ConfigError("\n".join(dict.fromkeys(self._problems)))
        return changed

    def _section(self, name: str) -> Mapping[str, Any]:
        section = self._data.get(name)
        if section is not None and not isinstance(section, Mapping):
            self._wrong((name,), f"{name} is {_shown(section)}: must be an object, by name")
        return section if isinstance(section, Mapping) else {}

    def _rules(self, kind: str) -> list[_Rule]:
        """All alerts, or all recording rules: some mixins keep both in one place."""
        groups = [*self._mixin.alerts, *self._mixin.rules]
        return [rule for group in groups for rule in group["rules"] if kind in rule]

    def _alerts(self, section: Mapping[str, Any]) -> dict[int, list[Mapping[str, Any]]]:
        """The changes to alerts, by the identity of the rule."""
        rules = self._rules("alert")
        changes: dict[int, list[Mapping[str, Any]]] = {}
        for name, given in section.items():
            named = [rule for rule in rules if rule["alert"] == name]
            if not named:
                self._wrong(("alerts", name), f"no such alert: {name}. {meant(name, {r['alert'] for r in rules})}")
                continue
            parts = enumerate(given) if isinstance(given, list) else [(None, given)]
            for number, part in parts:
                place = ("alerts", name) if number is None else ("alerts", name, str(number))
                if self._fits(place, part, _ALERT) and self._is_alert(place, name, part):
                    for rule in self._matching(place, name, named, part.get("match")):
                        changes.setdefault(id(rule), []).append(part)
        return changes

    def _matching(self, place: _Place, name: str, named: Sequence[_Rule], match: Any) -> list[_Rule]:
        """Those alerts of the name that have the labels of ``match``; all without."""
        if match is None:
            return list(named)
        if not self._are_labels((*place, "match"), name, "match", match):
            return []
        wanted = {label: _text(value) for label, value in match.items()}
        found = [rule for rule in named if wanted.items() <= rule.get("labels", {}).items()]
        if not found:
            there = "; ".join(sorted(json.dumps(rule.get("labels", {})) for rule in named))
            self._wrong((*place, "match"), f"no {name} has the labels {json.dumps(wanted)}: there is {there}")
        return found

    def _is_alert(self, place: _Place, name: str, change: Mapping[str, Any]) -> bool:
        """Whether the fields of a change to an alert are of the right kind, and not knobs."""
        before = len(self._problems)
        if "severity" in change and not isinstance(change["severity"], str):
            self._wrong((*place, "severity"), f"{name}: severity is {_shown(change['severity'])}: must be a text")
        for key in ("for", "keep_firing_for"):
            if key in change and not _DURATION.fullmatch(_text(change[key])) and _text(change[key]) != "0":
                said = f"{name}: {key} is {_shown(change[key])}: must be a duration such as 15m"
                self._wrong((*place, key), said)
        for key in ("labels", "annotations"):
            if key in change:
                self._are_labels((*place, key), name, key, change[key])
        self._are_no_knobs(place, name, change)
        return len(self._problems) == before

    def _are_no_knobs(self, place: _Place, name: str, change: Mapping[str, Any]) -> None:
        knobs = self._mixin.config.get("alerts", {}).get(name)
        if knobs is None:
            return
        labels = change.get("labels")
        relabelled = ["severity"] if isinstance(labels, Mapping) and "severity" in labels else []
        for key in [*(key for key in change if key in _KNOBS), *relabelled]:
            knob = _KNOBS[key]
            there = f"write `kronos: {{alerts: {{{name}: {{{knob}: ...}}}}}}`" if knob in knobs else "set that"
            self._wrong((*place, key), f"{name}: {key} is a knob of the Kronos mixin: {there} in a file for --config")

    def _are_labels(self, place: _Place, name: str, key: str, labels: Any) -> bool:
        if not isinstance(labels, Mapping):
            self._wrong(place, f"{name}: {key} is {_shown(labels)}: must be an object, such as {{team: infra}}")
            return False
        before = len(self._problems)
        for label, value in labels.items():
            if not _LABEL.fullmatch(label):
                self._wrong((*place, label), f"{name}: {key}: {label!r} is no name of a label: letters, digits and _")
            if isinstance(value, Mapping | list):
                self._wrong((*place, label), f"{name}: {key}.{label} is {_shown(value)}: must be a text")
        return len(self._problems) == before

    def _dropped(self, section: Mapping[str, Any]) -> dict[str, _Place]:
        """The recording rules that are switched off, and where that is said."""
        there = {rule["record"] for rule in self._rules("record")}
        found: dict[str, _Place] = {}
        for name, change in section.items():
            if name not in there:
                self._wrong(("rules", name), f"no such recording rule: {name}. {meant(name, there)}")
            elif self._fits(("rules", name), change, _SECTIONS["rules"]) and change.get("enabled") is False:
                found[name] = ("rules", name)
        return found

    def _dashboards(self, section: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        found = dict(self._mixin.dashboards)
        for name, change in section.items():
            file, place = name if name.endswith(".json") else f"{name}.json", ("dashboards", name)
            if file not in self._mixin.dashboards:
                self._wrong(place, f"no such dashboard: {name}. {meant(file, self._mixin.dashboards)}")
            elif self._fits(place, change, _SECTIONS["dashboards"]):
                self._is_no_knob(place, file, change)
                tags = change.get("tags")
                if "tags" in change and not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
                    self._wrong((*place, "tags"), f"{name}: tags is {_shown(tags)}: must be a list of texts")
                elif "tags" in change:
                    found[file] = _retagged(found[file], change["tags"])
                if change.get("enabled") is False:
                    del found[file]
        return found

    def _is_no_knob(self, place: _Place, file: str, change: Mapping[str, Any]) -> None:
        uid = self._mixin.dashboards[file].get("uid")
        for name, knobs in self._mixin.config.get("dashboards", {}).items():
            if isinstance(knobs, Mapping) and knobs.get("uid") == uid:
                for key in change:
                    knob = {"tags": "tags: [...]", "enabled": f"{name}: {{enabled: ...}}"}[key]
                    there = f"write `kronos: {{dashboards: {{{knob}}}}}` in a file for --config"
                    self._wrong((*place, key), f"{file}: {key} is a knob of the Kronos mixin: {there}")

    def _fits(self, place: _Place, change: Any, keys: Sequence[str]) -> bool:
        """Whether a change is an object of known keys."""
        name = place[1]
        if not isinstance(change, Mapping):
            self._wrong(place, f"{name} is {_shown(change)}: must be an object, such as {{enabled: false}}")
            return False
        before = len(self._problems)
        for key in change:
            if key in _OF_JSONNET and key not in keys:
                said = (
                    f"{name}: {key} can't be replaced here: an expression that is only partly known is soon wrong. "
                    "Set the mixin's knob for it with --config, or override it in Jsonnet, where the mixin is at hand"
                )
                self._wrong((*place, key), said)
            elif key not in keys:
                self._wrong((*place, key), f"{name}: {key} can't be changed. {meant(key, keys)}")
        if "enabled" in change and not isinstance(change["enabled"], bool):
            self._wrong((*place, "enabled"), f"{name}: enabled is {_shown(change['enabled'])}: must be true or false")
        return len(self._problems) == before

    def _wrong(self, place: _Place, sentence: str) -> None:
        while place and place not in self._data.places:
            place = place[:-1]
        self._problems.append(f"{self._data.places[place]}: {sentence}" if place else sentence)


def _regrouped(groups: _Groups, change: Callable[[_Rule], _Rule | None]) -> _Groups:
    """The groups with every rule changed, those that become empty left out."""
    found = []
    for group in groups:
        rules = [new for rule in group["rules"] if (new := change(rule)) is not None]
        if rules or not group["rules"]:
            found.append({**group, "rules": rules})
    return found


def _changed(rule: _Rule, changes: Iterable[Mapping[str, Any]]) -> _Rule | None:
    """An alert after all changes; None: it is switched off."""
    new = dict(rule)
    for change in changes:
        if change.get("enabled") is False:
            return None
        new |= {key: _duration(change[key]) for key in ("for", "keep_firing_for") if key in change}
        severity = {"severity": change["severity"]} if "severity" in change else {}
        for key, more in (("labels", severity), *((key, change.get(key, {})) for key in ("labels", "annotations"))):
            merged = {**new.get(key, {}), **more}
            if more:  # null takes one away.
                new[key] = {name: _text(value) for name, value in merged.items() if value is not None}
    return new


def _retagged(dashboard: dict[str, Any], tags: list[str]) -> dict[str, Any]:
    spec = dashboard.get("spec")
    return {**dashboard, "spec": {**spec, "tags": tags}} if isinstance(spec, dict) else {**dashboard, "tags": tags}


def _readers(mixin: Mixin, series: str) -> list[str]:
    """The rules, alerts and dashboards that read a series."""
    found: list[str] = []
    for group in [*mixin.rules, *mixin.alerts]:
        reading = [rule for rule in group["rules"] if _reads(promql.read(rule["expr"], None), series)]
        found += [str(rule.get("alert", rule.get("record"))) for rule in reading]
    for name, dashboard in mixin.dashboards.items():
        known = queries.variables(dashboard)
        if any(_reads(variables.read(text, known)[0], series) for _, text, *_ in queries.queries(dashboard)):
            found.append(name)
    return list(dict.fromkeys(found))


def _reads(reading: promql.Reading, series: str) -> bool:
    patterns = [selector.names for selector in reading.selectors if selector.names]
    return series in reading.series or any(all(one.lets_through(series) for one in names) for names in patterns)


def _duration(value: Any) -> str:
    return "0s" if _text(value) == "0" else _text(value)


def _text(value: Any) -> str:
    if isinstance(value, Number):
        return value.text
    return value if isinstance(value, str) else json.dumps(value)


def _shown(value: Any) -> str:
    return value.text if isinstance(value, Number) else json.dumps(value)
