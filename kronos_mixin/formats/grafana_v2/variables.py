"""Variables of dashboards."""

from __future__ import annotations

from kronos_mixin.formats.grafana_v2.parts import Json, at, data_source, of_kind, query

_HIDE = ("dontHide", "hideLabel", "hideVariable", "inControlsMenu")
_REFRESH = ("never", "onDashboardLoad", "onTimeRangeChanged")
_SORT = (
    "disabled", "alphabeticalAsc", "alphabeticalDesc", "numericalAsc", "numericalDesc",
    "alphabeticalCaseInsensitiveAsc", "alphabeticalCaseInsensitiveDesc", "naturalAsc", "naturalDesc",
)  # fmt: skip
_REFRESH = ("never", "onDashboardLoad", "onTimeRangeChanged")
_SORT = (
    "disabled", "alphabeticalAsc", "alphabeticalDesc", "numericalAsc", "numericalDesc",
    "alphabeticalCaseInsensitiveAsc", "alphabeticalCaseInsensitiveDesc", "naturalAsc", "naturalDesc",
)  # fmt: skip
_SORT = (
    "disabled", "alphabeticalAsc", "alphabeticalDesc", "numericalAsc", "numericalDesc",
    "alphabeticalCaseInsensitiveAsc", "alphabeticalCaseInsensitiveDesc", "naturalAsc", "naturalDesc",
)  # fmt: skip


def variable(entry: Json, lost: list[str]) -> list[Json]:
    """A variable of version 2 for one of a classic dashboard; none, and a note in ``lost``, if it can't be."""
    if not entry.get("name"):
        lost.append("a variable has no name, and nothing can read it")
        return []
    what = entry.get("type", "query")
    spec: Json = {
        "name": entry["name"],
        "hide": at(_HIDE, entry.get("hide")),
        "skipUrlSync": bool(entry.get("skipUrlSync")),
    }
    spec |= {key: entry[key] for key in ("label", "description") if entry.get(key)}
    current = {"text": "", "value": "", **(entry.get("current") or {})}
    choice = {
        "current": current,
        "options": entry.get("options") or [],
        "multi": bool(entry.get("multi")),
        "includeAll": bool(entry.get("includeAll")),
        "allowCustomValue": entry.get("allowCustomValue", True),
        **({"allValue": entry["allValue"]} if entry.get("allValue") else {}),
    }
    refresh = at(_REFRESH, entry.get("refresh"))
    match what:
        case "query":
            asked = entry.get("query") or ""
            fields = asked if isinstance(asked, dict) else {"__legacyStringValue": asked}
            own = {
                "query": query(entry.get("datasource"), fields, ()),
                "refresh": refresh,
                "regex": entry.get("regex") or "",
                "sort": at(_SORT, entry.get("sort")),
                **({"definition": entry["definition"]} if entry.get("definition") else {}),
            }
            return [of_kind("QueryVariable", {**spec, **choice, **own})]
        case "datasource":
            own = {"pluginId": entry.get("query", ""), "refresh": refresh, "regex": entry.get("regex") or ""}
            return [of_kind("DatasourceVariable", {**spec, **choice, **own})]
        case "custom":
            return [of_kind("CustomVariable", {**spec, **choice, "query": entry.get("query", "")})]
        case "interval":
            own = {
                "query": entry.get("query", ""),
                "current": current,
                "options": entry.get("options") or [],
                "auto": bool(entry.get("auto")),
                "auto_min": entry.get("auto_min") or "",
                "auto_count": entry.get("auto_count") or 0,
                "refresh": "onTimeRangeChanged",
            }
            return [of_kind("IntervalVariable", {**spec, **own})]
        case "constant" | "textbox":
            name = {"constant": "ConstantVariable", "textbox": "TextVariable"}[what]
            return [of_kind(name, {**spec, "current": current, "query": entry.get("query", "")})]
        case "adhoc":
            own = {
                "baseFilters": [],
                "filters": entry.get("filters") or [],
                "defaultKeys": [],
                "allowCustomValue": True,
            }
            return [{"kind": "AdhocVariable", **data_source(entry.get("datasource")), "spec": {**spec, **own}}]
    lost.append(f"variable {entry['name']} is of type {what}, which is not converted")
    return []
