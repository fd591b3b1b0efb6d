"""Lists the queries of a dashboard, with Grafana's variables filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
_LEGEND = re.compile(r"{{\s*(\w+)\s*}}")
_LABEL_VALUES = re.compile(r"label_values\((?P<series>.+),\s*(?P<label>\w+)\)")

Override = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Query:
    """One query of one panel. `unit` is Grafana's id of the unit of the left axis.

    `instant` queries are evaluated once, at the end of the time range. `bounds` are `min` and `max` of the panel's
    axis: missing, None for "any", or a number. `renames` are the panel's changes to names (pattern, replacement),
    `overrides` properties of lines by a pattern of their names.
    """

    panel: str
    ref: str
    expr: str
    legend: str
    unit: str
    empty: str
    instant: bool = False
    bounds: Mapping[str, float | None] = field(default_factory=dict)
    renames: Sequence[tuple[str, str]] = ()
    overrides: Sequence[Override] = ()

    @property
    def labels(self) -> list[str]:
        """The labels in the legend."""
        return _LEGEND.findall(self.legend)

    def name(self, labels: Mapping[str, str]) -> str:
        """The name in the legend of a series with these labels."""
        name = _LEGEND.sub(lambda match: labels.get(match[1], ""), self.legend).strip()
        for pattern, replacement in self.renames:
            name = re.sub(pattern, replacement, name)
        return name

    def unit_of(self, name: str) -> str:
        """The unit of the line with that name."""
        units = [
            properties["unit"]
            for pattern, properties in self.overrides
            if "unit" in properties and re.search(pattern, name)
        ]
        return str(units[-1]) if units else self.unit


@dataclass(frozen=True)
class Variable:
    """A variable with the values of a label on the series of a selector."""

    name: str
    label: str
    series: str


def queries(
    dashboard: Mapping[str, Any],
    interval: str,
    chosen: Mapping[str, str] | None = None,
    *,
    rate_interval: str | None = None,
    span: str = "1h",
) -> Iterator[Query]:
    """Every query of every panel, in order.

    `interval`, `rate_interval` (None: the same) and `span` are the values of $__interval, $__rate_interval and
    $__range, such as "30s". `chosen` maps variables to regular expressions; all others are at All. Raises KeyError,
    with its name, for a variable that the dashboard does not have.
    """
    values = _all(dashboard) | dict(chosen or {})
    values |= {"__interval": interval, "__rate_interval": rate_interval or interval, "__range": span}
    for panel in dashboard["panels"]:
        defaults = panel["fieldConfig"]["defaults"]
        changes = [
            change["options"] for change in panel.get("transformations", []) if change["id"] == "renameByRegex"
        ]
        overrides = [one for one in panel["fieldConfig"]["overrides"] if one["matcher"]["id"] == "byRegexp"]
        for target in panel["targets"]:
            yield Query(
                panel=panel["title"],
                ref=target["refId"],
                expr=_filled(target["expr"], values),
                legend=target["legendFormat"],
                unit=defaults["unit"],
                empty=defaults["noValue"],
                instant=target.get("instant", False),
                bounds=_bounds(defaults),
                renames=[_rename(options) for options in changes],
                overrides=[_override(one) for one in overrides],
            )


def marks(dashboard: Mapping[str, Any], chosen: Mapping[str, str] | None = None) -> Iterator[Query]:
    """The queries of the dashboard's annotations; `chosen` and errors as for `queries`."""
    values = _all(dashboard) | dict(chosen or {})
    for annotation in dashboard["annotations"]["list"]:
        yield Query(
            panel=f"annotation {annotation['name']}",
            ref="",
            expr=_filled(annotation["expr"], values),
            legend=annotation["titleFormat"],
            unit="none",
            empty="",
        )


def variables(dashboard: Mapping[str, Any]) -> list[Variable]:
    """The variables with values from Prometheus, in order; variables in their selectors are at All."""
    values = _all(dashboard)
    asked = [
        (one["name"], one["query"]["query"]) for one in dashboard["templating"]["list"] if one["type"] == "query"
    ]
    return [
        Variable(name, match["label"], _filled(match["series"], values))
        for name, query in asked
        if (match := _LABEL_VALUES.fullmatch(query))
    ]


def _all(dashboard: Mapping[str, Any]) -> dict[str, str]:
    """The value of each variable while it is at All."""
    return {variable["name"]: variable.get("allValue", "") for variable in dashboard["templating"]["list"]}


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: values[match[1]], text)


def _bounds(defaults: Mapping[str, Any]) -> dict[str, float | None]:
    """`min` and `max` of the axis. A threshold at 0 or below means that lower values are expected."""
    bounds = {key: defaults[key] for key in ("min", "max") if key in defaults}
    steps = [step["value"] for step in defaults.get("thresholds", {}).get("steps", [])]
    return {"min": None} | bounds if any(step is not None and step <= 0 for step in steps) else bounds


def _rename(options: Mapping[str, str]) -> tuple[str, str]:
    """Grafana's pattern and replacement, with groups in Python's notation."""
    return options["regex"], re.sub(r"\$(\d)", r"\\\1", options["renamePattern"])


def _override(override: Mapping[str, Any]) -> Override:
    pattern = override["matcher"]["options"].removeprefix("/").removesuffix("/")
    return pattern, {one["id"]: one["value"] for one in override["properties"]}
