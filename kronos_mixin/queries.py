"""Finds what a dashboard asks Prometheus: in panels, variables and annotations, of old, classic and v2 dashboards."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

_VARIABLE_QUERY = re.compile(
    r"\s*(?:label_values\((?P<series>.+),\s*[\w.\"']+\s*\)|query_result\((?P<result>.+)\))\s*$", re.DOTALL
)
# The values of these are written in the dashboard.
_WRITTEN = {"custom", "constant", "interval"}
_OTHERS = re.compile(
    r"loki|tempo|elastic|influx|sql|graphite|cloudwatch|azure|jaeger|zipkin|__expr__|-- (?!mixed)", re.IGNORECASE
)


class Query(NamedTuple):
    """An expression, and where in the dashboard it is."""

    place: str
    text: str
    panel: str = ""
    """Its panel's title; a variable and an annotation have none."""
    target: str = ""
    """Its number in the panel, from 0."""


def queries(dashboard: Mapping[str, Any]) -> Iterator[Query]:
    """Every expression that goes to Prometheus."""
    dashboard = _classic(dashboard)
    variables = items(dashboard.get("templating"), "list")
    sources = {str(one.get("name")): one.get("query") for one in variables if one.get("type") == "datasource"}
    for panel in panels(dashboard):
        for number, target in enumerate(items(panel, "targets")):
            if _asks_prometheus(target.get("datasource") or panel.get("datasource"), sources):
                title = panel.get("title")
                place = f"panel {title or panel.get('id')!r} {target.get('refId') or ''}".rstrip()
                yield from _query(place, target.get("expr"), str(title or ""), str(number))
    for variable in variables:
        text = variable.get("query")
        text = text.get("query") if isinstance(text, Mapping) else text
        asks = variable.get("type") == "query" and _asks_prometheus(variable.get("datasource"), sources)
        if asks and isinstance(text, str) and (match := _VARIABLE_QUERY.match(text)):
            yield from _query(f"variable ${variable.get('name')}", match["series"] or match["result"])
    for annotation in items(dashboard.get("annotations"), "list"):
        if _asks_prometheus(annotation.get("datasource"), sources):
            yield from _query(f"annotation {annotation.get('name')!r}", annotation.get("expr"))


def variables(dashboard: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """The dashboard's variables, each with its values as far as they are written there."""
    found: dict[str, Sequence[str]] = {}
    for variable in items(_classic(dashboard).get("templating"), "list"):
        text = variable.get("query")
        written = str(text).split(",") if variable.get("type") in _WRITTEN and isinstance(text, str) else []
        # `name : value` shows one thing, and stands for another.
        found[str(variable.get("name"))] = [value.rpartition(" : ")[2].strip() for value in written if value.strip()]
    return found


def title(dashboard: Mapping[str, Any]) -> str:
    """The dashboard's title, if it has one."""
    return str(dashboard.get("title") or _spec(dashboard).get("title") or "")


def panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All panels, those inside rows included; old dashboards keep rows in a list of their own."""
    rows = [panel for row in items(dashboard, "rows") for panel in items(row, "panels")]
    for panel in [*items(dashboard, "panels"), *rows]:
        yield panel
        yield from panels(panel)


def items(holder: Any, key: str) -> list[dict[str, Any]]:
    """The objects in a list of ``holder``, if it has such a list."""
    value = holder.get(key) if isinstance(holder, Mapping) else None
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _query(place: str, text: Any, panel: str = "", target: str = "") -> Iterator[Query]:
    if isinstance(text, str) and text.strip():
        yield Query(place, text, panel, target)


def _asks_prometheus(source: Any, variables: Mapping[str, Any]) -> bool:
    """Whether a query goes to Prometheus. Without a data source, as in old dashboards, it is assumed to."""
    kind = source.get("type") if isinstance(source, Mapping) else None
    named = source.get("uid") if isinstance(source, Mapping) else source
    if not kind and isinstance(named, str):
        kind = variables.get(re.sub(r"^(\$\{?|\[\[)|(\}|\]\])$", "", named), named)
        return not isinstance(kind, str) or not _OTHERS.search(kind)
    return not isinstance(kind, str) or "prometheus" in kind or kind in {"mixed", "datasource"}


def _classic(dashboard: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parts of a v2 dashboard that are read here, as classic ones have them; any other dashboard as it is."""
    spec = dashboard.get("spec", dashboard)
    if not isinstance(spec, Mapping) or not isinstance(spec.get("elements"), Mapping):
        return spec if isinstance(spec, Mapping) else dashboard
    panels = []
    for element in spec["elements"].values():
        panel = _spec(element)
        asked = [_spec(query) for query in items(_spec(panel.get("data")), "queries")]
        targets = [{"refId": one.get("refId"), **_asked(one)} for one in asked]
        panels.append({"id": panel.get("id"), "title": panel.get("title"), "targets": targets})
    variables = []
    for variable in items(spec, "variables"):
        own = _spec(variable)
        kind = str(variable.get("kind")).removesuffix("Variable").lower()
        query = own.get("pluginId", own.get("query"))
        rest = _asked(own) if isinstance(query, Mapping) else {"query": query}
        variables.append({"name": own.get("name"), "type": kind, **rest})
    annotations = [{"name": _spec(one).get("name"), **_asked(_spec(one))} for one in items(spec, "annotations")]
    return {"panels": panels, "templating": {"list": variables}, "annotations": {"list": annotations}}


def _asked(holder: Mapping[str, Any]) -> dict[str, Any]:
    """What a query of a v2 dashboard asks, and whom: its group, or in older ones its kind, tells what that is."""
    query = holder.get("query")
    query = query if isinstance(query, Mapping) else {}
    kind = query.get("group") or (query.get("kind") if query.get("kind") != "DataQuery" else None)
    source = holder.get("datasource") or query.get("datasource") or {}
    named = source.get("uid") or source.get("name") if isinstance(source, Mapping) else source
    return {**_spec(query), "datasource": {"type": kind or source.get("type"), "uid": named}}


def _spec(holder: Any) -> Mapping[str, Any]:
    spec = holder.get("spec") if isinstance(holder, Mapping) else None
    return spec if isinstance(spec, Mapping) else {}
