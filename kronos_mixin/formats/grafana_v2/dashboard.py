"""Dashboards as version 2 of Grafana's resource: elements apart from their layout. Grafana 13 or newer reads them."""

from __future__ import annotations

from collections.abc import Mapping

from kronos_mixin.formats.converted import Converted
from kronos_mixin.formats.grafana_v2.panels import layout
from kronos_mixin.formats.grafana_v2.parts import Json, at, of_kind, query, tell
from kronos_mixin.formats.grafana_v2.variables import variable
from kronos_mixin.formats.kubernetes import object_name

API_VERSION = "dashboard.grafana.app/v2"

_CURSOR = ("Off", "Crosshair", "Tooltip")
_HIDE = ("dontHide", "hideLabel", "hideVariable", "inControlsMenu")
_REFRESH = ("never", "onDashboardLoad", "onTimeRangeChanged")
_SORT = (
    "disabled", "alphabeticalAsc", "alphabeticalDesc", "numericalAsc", "numericalDesc",
    "alphabeticalCaseInsensitiveAsc", "alphabeticalCaseInsensitiveDesc", "naturalAsc", "naturalDesc",
)  # fmt: skip
_OF_A_DASHBOARD = {
    "title", "description", "tags", "editable", "liveNow", "preload", "links", "annotations", "templating", "panels",
    "time", "timepicker", "refresh", "timezone", "weekStart", "fiscalYearStartMonth", "graphTooltip",
    # They say nothing about what is shown.
    "uid", "id", "version", "schemaVersion", "style", "gnetId", "iteration", "revision",
}  # fmt: skip
_LINK = {
    "title": "", "type": "link", "icon": "", "tooltip": "", "tags": [], "asDropdown": False, "targetBlank": False,
    "includeVars": False, "keepTime": False,
}  # fmt: skip
_ANNOTATION = ("name", "enable", "hide", "iconColor", "datasource", "target", "builtIn", "filter", "mappings")


def convert(dashboards: Mapping[str, Json]) -> Converted:
    """A resource for each dashboard, under the same file name."""
    converted = Converted()
    for file, dashboard in sorted(dashboards.items()):
        lost: list[str] = []
        name = str(dashboard.get("uid") or object_name(file.removesuffix(".json")))
        spec = _dashboard(dashboard, lost)
        converted.files[file] = {
            "apiVersion": API_VERSION,
            "kind": "Dashboard",
            "metadata": {"name": name},
            "spec": spec,
        }
        converted.lost.extend(f"{file}: {sentence}" for sentence in dict.fromkeys(lost))
    return converted


def _dashboard(dashboard: Json, lost: list[str]) -> Json:
    tell(dashboard, _OF_A_DASHBOARD, "the dashboard", lost)
    elements: Json = {}
    laid_out = layout(list(dashboard.get("panels") or []), elements, lost)
    optional: Json = {key: dashboard[key] for key in ("description", "editable", "liveNow") if key in dashboard}
    return {
        "title": dashboard.get("title", ""),
        **optional,
        "tags": dashboard.get("tags") or [],
        "preload": bool(dashboard.get("preload")),
        "cursorSync": at(_CURSOR, dashboard.get("graphTooltip")),
        "links": [
            {**_LINK, **{key: value for key, value in link.items() if value is not None}}
            for link in dashboard.get("links") or []
        ],
        "annotations": [_annotation(entry) for entry in _listed(dashboard, "annotations")],
        "variables": [found for entry in _listed(dashboard, "templating") for found in variable(entry, lost)],
        "timeSettings": _times(dashboard),
        "elements": elements,
        "layout": laid_out,
    }


def _times(dashboard: Json) -> Json:
    time, picker = dashboard.get("time") or {}, dashboard.get("timepicker") or {}
    optional = {
        "timezone": dashboard.get("timezone"),
        "weekStart": dashboard.get("weekStart"),
        "quickRanges": picker.get("quick_ranges"),
        "nowDelay": picker.get("nowDelay"),
    }
    return {
        "from": time.get("from", "now-6h"),
        "to": time.get("to", "now"),
        "autoRefresh": dashboard.get("refresh") or "",
        "autoRefreshIntervals": picker.get("refresh_intervals")
        or ["5s", "10s", "30s", "1m", "5m", "15m", "30m", "1h"],
        "hideTimepicker": bool(picker.get("hidden")),
        "fiscalYearStartMonth": dashboard.get("fiscalYearStartMonth") or 0,
        **{key: value for key, value in optional.items() if value},
    }


def _annotation(entry: Json) -> Json:
    known = {"enable": True, "hide": False, "iconColor": "red", "name": ""}
    known |= {key: entry[key] for key in known if key in entry}
    known |= {key: entry[key] for key in ("filter", "mappings") if entry.get(key)}
    if entry.get("builtIn"):
        known["builtIn"] = True
    if legacy := {key: value for key, value in entry.items() if key not in _ANNOTATION}:
        known["legacyOptions"] = legacy
    return of_kind(
        "AnnotationQuery", {"query": query(entry.get("datasource"), entry.get("target") or {}, ()), **known}
    )


def _listed(dashboard: Json, key: str) -> list[Json]:
    return (dashboard.get(key) or {}).get("list") or []
