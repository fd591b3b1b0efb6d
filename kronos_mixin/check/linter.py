"""The rules of the community's dashboard linter, under its names.

Left out are those that other checks cover: title, description, unit, valid PromQL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kronos_mixin.check.expressions import Expression
from kronos_mixin.check.finding import Finding
from kronos_mixin.check.waivers import About, Waiver, applied, idle
from kronos_mixin.contract import Contract
from kronos_mixin.jsonnet import Mixin
from kronos_mixin.series import counters

_RATE = re.compile(r"\bi?rate\s*\([^][]*\[([^]]+)\]")


@dataclass(frozen=True, slots=True)
class Offence:
    """One broken rule; ``panel`` and ``series`` are empty if it is about neither."""

    rule: str
    dashboard: str
    message: str
    panel: str = ""
    series: str = ""


def check(
    mixin: Mixin, contract: Contract, expressions: Iterable[Expression], waivers: Iterable[Waiver]
) -> Iterator[Finding]:
    """Report offences without a waiver, and waivers without an offence or a reason."""
    offences = [
        (_about(mixin, offence), _finding(offence))
        for name, dashboard in mixin.dashboards.items()
        for offence in (*_templates(name, dashboard), *_targets(name, contract, expressions))
    ]
    waivers = list(waivers)
    yield from applied(offences, waivers)
    # The dashboard may be switched off, or all of them.
    titles = [str(dashboard["title"]) for dashboard in mixin.dashboards.values()]
    yield from idle(offences, [one for one in waivers if titles and one.about.dashboard in {"", *titles}])


def _about(mixin: Mixin, offence: Offence) -> About:
    title = mixin.dashboards[offence.dashboard]["title"]
    return About(offence.rule, title, offence.panel, series=offence.series)


def _finding(offence: Offence) -> Finding:
    place = f"panel {offence.panel!r}" if offence.panel else ""
    return Finding(f"grafana/{offence.dashboard}", place, offence.message, rule=offence.rule)


def _templates(name: str, dashboard: Mapping[str, Any]) -> Iterator[Offence]:
    if dashboard.get("editable") is not False:
        yield Offence("uneditable-dashboard", name, "must not be editable: changes in Grafana would be lost")
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    source = variables.get("datasource", {})
    # Its query is the type of the data source, which is a knob.
    if (source.get("type"), source.get("label")) != ("datasource", "Data source") or not source.get("query"):
        yield Offence("template-datasource-rule", name, "needs a variable `datasource`, labelled `Data source`")
    for label in ("job", "instance"):
        rule = f"template-{label}-rule"
        if label not in variables:
            yield Offence(rule, name, f"needs a variable `{label}`")
            continue
        wanted = {"type": "query", "label": label.title(), "multi": True, "includeAll": True, "allValue": ".+"}
        for key, value in wanted.items():
            if variables[label].get(key) != value:
                yield Offence(rule, name, f"the variable `{label}` must have {key} {value!r}")
    for variable in variables.values():
        if variable["type"] == "query" and variable.get("refresh") != 2:
            message = f"the variable `{variable['name']}` must reload when the time range changes (refresh: 2)"
            yield Offence("template-on-time-change-reload-rule", name, message)
        if variable["type"] == "query" and not _templated(variable):
            message = f"the variable `{variable['name']}` must use the chosen data source"
            yield Offence("template-datasource-rule", name, message)


def _targets(name: str, contract: Contract, expressions: Iterable[Expression]) -> Iterator[Offence]:
    plain_counters = counters(contract)
    for one in expressions:
        if one.file != f"grafana/{name}" or "targets" not in one.holder:
            continue
        offence = _of_panel(name, one.holder["title"])
        if not _templated(one.holder):
            yield offence("panel-datasource-rule", "must use the chosen data source", "")
        for selector in one.reading.selectors:
            for label in ("job", "instance"):
                if (label, "=~", f"${label}") not in selector.matchers:
                    message = f'{selector.name} must be filtered by {label}=~"${label}"'
                    yield offence(f"target-{label}-rule", message, selector.name)
            if selector.name in plain_counters and not selector.counted:
                yield offence(
                    "target-counter-agg-rule", f"{selector.name} is a counter without a rate", selector.name
                )
        for window in _RATE.findall(one.text):
            if window not in {"$__rate_interval", "${__rate_interval}"}:
                yield offence("target-rate-interval-rule", f"takes a rate over {window}, not $__rate_interval", "")


def _of_panel(dashboard: str, panel: str) -> Callable[[str, str, str], Offence]:
    return lambda rule, message, series: Offence(rule, dashboard, message, panel, series)


def _templated(holder: Mapping[str, Any]) -> bool:
    """Whether a panel or variable uses the data source of the dashboard's variable."""
    source = holder.get("datasource")
    return isinstance(source, dict) and source.get("uid") in {"$datasource", "${datasource}"}
