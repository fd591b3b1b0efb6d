"""Panels, and where they lie: in a grid, or in rows with a grid each."""

from __future__ import annotations

from collections.abc import Iterator

from kronos_mixin.formats.grafana_v2.parts import Json, of_kind, query, tell

_OUTDATED = {"graph", "singlestat", "table-old", "grafana-piechart-panel", "grafana-worldmap-panel"}
"""Panels that Grafana replaces when it opens a classic dashboard, and only then."""

_OF_QUERIES = (
    "maxDataPoints", "interval", "timeFrom", "timeShift", "cacheTimeout", "hideTimeOverride", "queryCachingTTL",
)  # fmt: skip
_OF_A_PANEL = {
    "id", "type", "title", "description", "links", "transparent", "datasource", "targets", "transformations",
    "options", "fieldConfig", "gridPos", "pluginVersion", "repeat", "repeatDirection", "maxPerRow", "libraryPanel",
    *_OF_QUERIES,
}  # fmt: skip


def layout(panels: list[Json], elements: Json, lost: list[str]) -> Json:
    """The grid, or rows with a grid each; the panels themselves go into ``elements``."""
    rows = list(_rows(panels))
    grids = [
        _grid([_item(panel, top, elements, lost) for panel in sorted(within, key=lambda one: _place(one)["y"])])
        for _, top, within in rows
    ]
    if not any(row for row, _, _ in rows):
        return grids[0] if grids else _grid([])
    listed = []
    for (row, _, _), grid in zip(rows, grids, strict=True):
        spec: Json = {"title": "", "hideHeader": True, "layout": grid}
        if row:
            spec = {"title": row.get("title", ""), "collapse": bool(row.get("collapsed")), "layout": grid}
            if row.get("repeat"):
                spec["repeat"] = {"mode": "variable", "value": row["repeat"]}
        listed.append(of_kind("RowsLayoutRow", spec))
    return of_kind("RowsLayout", {"rows": listed})


def _rows(panels: list[Json]) -> Iterator[tuple[Json, int, list[Json]]]:
    """Each row with the line that it begins at and its panels; those before the first have an empty one."""
    row: Json = {}
    within: list[Json] = []
    top = 0
    for panel in sorted(panels, key=lambda one: (_place(one)["y"], _place(one)["x"])):
        if panel.get("type") == "row":
            if row or within:
                yield row, top, within
            row, top, within = panel, _place(panel)["y"] + 1, list(panel.get("panels") or [])
        else:
            within.append(panel)
    if row or within:
        yield row, top, within


def _item(panel: Json, top: int, elements: Json, lost: list[str]) -> Json:
    number = panel.get("id")
    if not isinstance(number, int) or f"panel-{number}" in elements:
        number = 1 + max((element["spec"]["id"] for element in elements.values()), default=0)
    name = f"panel-{number}"
    elements[name] = _panel(panel, number, lost)
    place = _place(panel)
    spec: Json = {
        "x": place["x"],
        "y": max(0, place["y"] - top),
        "width": place["w"],
        "height": place["h"],
        "element": {"kind": "ElementReference", "name": name},
    }
    if panel.get("repeat"):
        optional = {"direction": panel.get("repeatDirection"), "maxPerRow": panel.get("maxPerRow")}
        given = {key: value for key, value in optional.items() if value}
        spec["repeat"] = {"mode": "variable", "value": panel["repeat"], **given}
    return of_kind("GridLayoutItem", spec)


def _panel(panel: Json, number: int, lost: list[str]) -> Json:
    title = panel.get("title") or ""
    if "libraryPanel" in panel:
        library = {key: panel["libraryPanel"].get(key, "") for key in ("name", "uid")}
        return of_kind("LibraryPanel", {"id": number, "title": title, "libraryPanel": library})
    if panel.get("type") in _OUTDATED:
        lost.append(f"panels of type {panel['type']} stay empty: Grafana replaces them in classic dashboards only")
    else:
        tell(panel, _OF_A_PANEL, f"panel {title}", lost)
    queries = [
        of_kind(
            "PanelQuery",
            {
                "refId": target.get("refId", "A"),
                "hidden": bool(target.get("hide")),
                "query": query(
                    target.get("datasource") or panel.get("datasource"), target, {"refId", "hide", "datasource"}
                ),
            },
        )
        for target in panel.get("targets") or []
    ]
    transformations = [
        {
            "kind": "Transformation",
            "group": one["id"],
            "spec": {"options": {}, **{k: v for k, v in one.items() if k != "id"}},
        }
        for one in panel.get("transformations") or []
    ]
    optional = {key: panel[key] for key in ("description", "transparent") if panel.get(key)}
    return of_kind(
        "Panel",
        {
            "id": number,
            "title": title,
            **optional,
            "links": [{"title": "", "url": "", **link} for link in panel.get("links") or []],
            "data": of_kind(
                "QueryGroup",
                {
                    "queries": queries,
                    "transformations": transformations,
                    "queryOptions": {key: panel[key] for key in _OF_QUERIES if panel.get(key) is not None},
                },
            ),
            "vizConfig": {
                "kind": "VizConfig",
                "group": panel.get("type", ""),
                "version": panel.get("pluginVersion", ""),
                "spec": {
                    "options": panel.get("options") or {},
                    "fieldConfig": {"defaults": {}, "overrides": [], **(panel.get("fieldConfig") or {})},
                },
            },
        },
    )


def _place(panel: Json) -> dict[str, int]:
    return {"x": 0, "y": 0, "w": 12, "h": 8, **(panel.get("gridPos") or {})}


def _grid(items: list[Json]) -> Json:
    return of_kind("GridLayout", {"items": items})
