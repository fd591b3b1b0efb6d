"""Checks of where the dashboards in Grafana get their data from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from kronos_mixin.grafana import DEFAULT, DataSource, Grafana
from kronos_mixin.verify.api import Api
from kronos_mixin.verify.check import Check, Finding, Severity, Skip
from kronos_mixin.verify.dashboards import in_grafana
from kronos_mixin.verify.panels import variables
from kronos_mixin.verify.stack import Stack
from kronos_mixin.verify.words import listed

_ALL = "$__all"
_HOUR = 3600.0


def _sources(stack: Stack) -> Iterator[Finding]:
    found = resolved(stack)
    for kind in sorted({kind for source, kind in found.values() if source is None}):
        yield Finding(
            f"Grafana has no data source of the type {kind}",
            "add your Prometheus: Connections, Data sources; or set the knob dashboards.datasourceType",
        )
    for source in dict.fromkeys(source for source, _ in found.values() if source):
        yield from _works(stack, source)
    yield from _ambiguous(stack)


def _ambiguous(stack: Stack) -> Iterator[Finding]:
    """Report a default that is no data source of the type, so that Grafana takes the first of several."""
    grafana = _grafana(stack)
    sources = grafana.data_sources()
    default = next((one for one in sources if one.is_default), None)
    for kind in sorted({str(one["query"]) for spec in _specs(stack) for one in _source_variables(spec)}):
        fitting = [one for one in sources if one.type == kind]
        if len(fitting) > 1 and default not in fitting:
            name = f"{default.name}, of the type {default.type}" if default else "none"
            yield Finding(
                f"the default data source is {name}: our dashboards start with {fitting[0].name}, the first of "
                f"{listed([one.name for one in fitting])}",
                "make the right one the default, or choose it at the top of each dashboard and save that",
                severity=Severity.warning,
            )


def _works(stack: Stack, source: DataSource) -> Iterator[Finding]:
    grafana = _grafana(stack)
    if why := grafana.unhealthy(source.uid):
        yield Finding(
            f"Grafana can't use its data source {source.name}: {why}",
            f"correct its address ({source.url or 'which is hidden from this token'}) and credentials",
        )
        return
    with closing(Api(grafana.behind(source.uid))) as behind:
        for what, expr in (
            ("no series of the job", f"count(up{{{stack.selector}}})"),
            ("no recorded series", f"count({_recorded(stack)}{{{stack.selector}}})"),
        ):
            if stack.ask(expr) and not behind.query(expr):
                yield Finding(
                    f"the data source {source.name} leads to a server that has {what}: {expr} is empty there, and "
                    f"is not at {stack.prometheus.url}",
                    "let it lead to the server that evaluates the rules, or to what stores its series",
                )
                return


def _recorded(stack: Stack) -> str:
    """A record that is there as soon as the service is scraped. Raises Skip if nothing is recorded."""
    if not stack.mixin.rules:
        raise Skip("these rules record nothing")
    names = [str(rule["record"]) for group in stack.mixin.rules for rule in group["rules"]]
    return next((name for name in names if "model_ready" in name), names[0])


def _defaults(stack: Stack) -> Iterator[Finding]:
    sources = _grafana(stack).data_sources()
    for spec in _specs(stack):
        for one in _source_variables(spec):
            known = {DEFAULT, *(name for source in _fitting(one, sources) for name in (source.uid, source.name))}
            if gone := [value for value in _chosen(one) if value not in known]:
                yield Finding(
                    f"{spec['title']}: the variable {one['name']} starts with {listed(gone)}, which is no data "
                    f"source of the type {one['query']}",
                    "choose one that there is, and save the dashboard with it; or import the compiled file",
                )
        yield from _values(stack, spec)


def _values(stack: Stack, spec: Mapping[str, Any]) -> Iterator[Finding]:
    """Report values that a variable was saved with, and that no series has."""
    saved = {str(one["name"]): _chosen(one) for one in _variables(spec) if one.get("type") == "query"}
    try:
        asked = variables(spec)
    except (KeyError, TypeError, AttributeError):  # It is not as compiled, which another check tells.
        return
    for variable in asked:
        chosen = [value for value in saved.get(variable.name, ()) if value != _ALL]
        if not chosen:
            continue
        offered = stack.prometheus.label_values(variable.label, variable.series, stack.now - _HOUR, stack.now)
        if gone := [value for value in chosen if value not in offered]:
            yield Finding(
                f"{spec['title']}: the variable {variable.name} starts with {listed(gone)}, which no series has",
                "choose All, and save the dashboard with it; or import the compiled file",
            )


def resolved(stack: Stack) -> dict[str, tuple[DataSource | None, str]]:
    """The data source that each dashboard starts with, by the dashboard's title, and the type that it wants."""
    sources = _grafana(stack).data_sources()
    found: dict[str, tuple[DataSource | None, str]] = {}
    for spec in _specs(stack):
        for one in _source_variables(spec):
            fitting = _fitting(one, sources)
            wanted = _chosen(one)[:1]
            named = [source for source in fitting if wanted and wanted[0] in {source.uid, source.name}]
            default = [source for source in fitting if source.is_default]
            found[str(spec["title"])] = (next(iter([*named, *default, *fitting]), None), str(one["query"]))
    return found


def _fitting(variable: Mapping[str, Any], sources: Sequence[DataSource]) -> list[DataSource]:
    """The data sources that a variable offers."""
    text = str(variable.get("regex") or "").strip("/")
    try:
        regex = re.compile(text)
    except re.error:
        regex = re.compile("")
    return [one for one in sources if one.type == variable["query"] and regex.search(one.name)]


def _chosen(variable: Mapping[str, Any]) -> list[str]:
    """The values that a variable starts with."""
    value = (variable.get("current") or {}).get("value")
    listed_values = value if isinstance(value, list) else [value]
    return [str(one) for one in listed_values if one]


def _grafana(stack: Stack) -> Grafana:
    if stack.grafana is None:
        raise Skip("no --grafana was named")
    return stack.grafana


def _specs(stack: Stack) -> list[Mapping[str, Any]]:
    """Our dashboards as Grafana keeps them."""
    specs = [one.spec for one in in_grafana(stack).values() if one is not None]
    if not specs:
        raise Skip("Grafana has none of our dashboards")
    return specs


def _variables(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list((spec.get("templating") or {}).get("list") or ())


def _source_variables(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in _variables(spec) if one.get("type") == "datasource"]


CHECKS = (
    Check(
        name="dashboards-source",
        looks_at="the data source that the dashboards start with",
        finds="no data source of the type, a default of another type, one that does not work, one that leads to "
        "another server than holds the series",
        why="Without data every panel is empty, as if there was no traffic.",
        run=_sources,
        after=("grafana-answers",),
    ),
    Check(
        name="dashboards-variables",
        looks_at="the values that the variables of the dashboards start with",
        finds="a data source, instance or cluster that was saved with a dashboard, and is gone",
        why="Who opens the dashboard sees empty panels.",
        run=_defaults,
        after=("grafana-answers",),
    ),
)
