"""In what a dashboard that Grafana keeps differs from the compiled one.

Grafana keeps a file as it is, but for its id and version. Once somebody saves a dashboard there, and on the way out
of `/apis`, it is brought to the newest schema: defaults are added or left out, and lists change their order. None of
that is a difference. What shows something else is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kronos_mixin import promql
from kronos_mixin.verify.words import shortened

_OWN = {"id", "uid", "version", "iteration", "schemaVersion", "gnetId", "revision", "style"}
"""Grafana's, not ours."""
_ADDED = {
    # of the dashboard
    *("weekStart", "fiscalYearStartMonth", "liveNow", "preload", "snapshot", "__inputs", "__requires", "__elements"),
    # of panels and their queries
    *("pluginVersion", "key", "format", "intervalFactor", "includeNullMetadata", "useBackend", "range", "legendMode"),
    # of variables and annotations
    *("allowCustomValue", "regexApplyTo", "definition", "target", "filter", "mappings"),
}
"""What Grafana adds by itself, with values that are not plainly empty."""
_ZEROS = {"hide", "graphTooltip", "fiscalYearStartMonth", "sort", "value", "index"}
"""Numbers that are 0 unless they are said; `value` is that of a threshold."""
_LOOKS = {"options", "custom", "timepicker"}
"""Where Grafana adds the defaults of plug-ins."""
_KEYS = ("refId", "name", "title", "id")
"""What tells the items of a list apart, the first that all of them have."""
_SAVED = {"current", "options"}
"""Of a variable: the values that whoever saved it had chosen."""

Data = Mapping[str, Any]


def differences(compiled: Data, kept: Data) -> list[str]:
    """The differences, one sentence each; none if both show the same."""
    ours, theirs = _plain(compiled), _plain(kept)
    if int(kept.get("schemaVersion") or 0) < int(compiled.get("schemaVersion") or 0):
        theirs["schemaVersion"] = kept.get("schemaVersion")
        ours["schemaVersion"] = compiled["schemaVersion"]
    return list(_objects(ours, theirs, ""))


def _plain(dashboard: Data) -> dict[str, Any]:
    """A dashboard without what is Grafana's own."""
    plain = {key: value for key, value in dashboard.items() if key not in _OWN}
    plain["tags"] = sorted(tag for tag in plain.get("tags") or () if not str(tag).startswith("kronos-mixin:"))
    listed = (plain.get("annotations") or {}).get("list") or []
    plain["annotations"] = {"list": [_annotation(one) for one in listed if not one.get("builtIn")]}
    variables = (plain.get("templating") or {}).get("list") or []
    plain["templating"] = {
        "list": [{key: value for key, value in one.items() if key not in _SAVED} for one in variables]
    }
    return plain


def _annotation(one: Data) -> Data:
    """An annotation with its query where it was before Grafana 9."""
    target = one.get("target")
    return {**one, "expr": target["expr"]} if isinstance(target, dict) and "expr" in target else one


def _objects(ours: Data, theirs: Data, place: str) -> Iterator[str]:
    for key in (*ours, *(key for key in theirs if key not in ours)):
        where = f"{place}.{key}".lstrip(".")
        if key not in theirs:
            if not _empty(ours[key], key):
                yield f"{where} is missing"
        elif key not in ours:
            looks = _LOOKS & {key, place.rpartition(".")[2]}
            if not _empty(theirs[key], key) and key not in _ADDED and not looks:
                yield f"{where} is {_shown(theirs[key])}, and should not be there"
        else:
            yield from _values(ours[key], theirs[key], where)


def _values(ours: Any, theirs: Any, place: str) -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        yield from _objects(ours, theirs, place)
    elif isinstance(ours, list) and isinstance(theirs, list):
        yield from _lists(ours, theirs, place)
    elif ours != theirs and not _both_empty(ours, theirs, place) and not _same_query(ours, theirs, place):
        yield f"{place} is {_shown(theirs)} instead of {_shown(ours)}"


def _lists(ours: Sequence[Any], theirs: Sequence[Any], place: str) -> Iterator[str]:
    items = [*ours, *theirs]
    kind = place.rpartition(".")[2].removesuffix("s")
    key = next((key for key in _KEYS if items and all(isinstance(one, dict) and key in one for one in items)), None)
    if key is None or kind == "transformation":
        if len(ours) != len(theirs):
            yield f"{place} has {len(theirs)} entries instead of {len(ours)}"
        else:
            for number, (one, other) in enumerate(zip(ours, theirs, strict=True), start=1):
                yield from _values(one, other, f"{place}.{number}")
        return
    if place == "panels":
        key = "title"
    named, others = _named(ours, key), _named(theirs, key)
    inside = "" if place in {"panels", "templating.list", "annotations.list"} else f"{place}."
    what = {"templating.list": "variable", "annotations.list": "annotation"}.get(place, kind)
    yield from (f"{inside}{what} {name} is missing" for name in named.keys() - others.keys())
    yield from (f"{inside}{what} {name} is there, and should not be" for name in others.keys() - named.keys())
    for name in named.keys() & others.keys():
        yield from _values(named[name], others[name], f"{inside}{what} {name}")


def _named(items: Sequence[Data], key: str) -> dict[str, Data]:
    """The items by their names; a second one of a name has its number."""
    found: dict[str, Data] = {}
    for item in items:
        text = name = str(item[key]) if key == "refId" else repr(str(item[key]))
        number = 1
        while name in found:
            number += 1
            name = f"{text} ({number})"
        found[name] = item
    return found


def _same_query(ours: Any, theirs: Any, place: str) -> bool:
    return place.endswith("expr") and promql.pretty(str(ours)) == promql.pretty(str(theirs))


def _both_empty(ours: Any, theirs: Any, place: str) -> bool:
    key = place.rpartition(".")[2]
    return _empty(ours, key) and _empty(theirs, key)


def _empty(value: Any, key: str) -> bool:
    """Whether a value under a key is the same to Grafana as none."""
    if isinstance(value, dict):
        return all(_empty(item, name) for name, item in value.items())
    if value is None or isinstance(value, bool):
        return not value
    return value in ("", []) or (value == 0 and key in _ZEROS)


def _shown(value: Any) -> str:
    return shortened(repr(value) if isinstance(value, str | dict | list) else str(value))
