"""Brings what mixins export into one form: they differ in more ways than the convention has words for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_KINDS = {
    dict: "an object",
    list: "an array",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
}


class ShapeError(ValueError):
    """A mixin exports something of another kind than it should; the message says what and where."""


def dashboards(value: Any) -> dict[str, dict[str, Any]]:
    """Dashboards by file name. Each may be JSON in a text. A name without .json gets it, for Grafana reads no others.

    Raises ShapeError.
    """
    if value is not None and not isinstance(value, dict):
        raise ShapeError(f"grafanaDashboards is {_kind(value)}: must be an object of dashboards, by file name")
    found: dict[str, dict[str, Any]] = {}
    for key, item in (value or {}).items():
        name = key if key.endswith(".json") else f"{key}.json"
        if name in found:
            raise ShapeError(f"grafanaDashboards has both {name.removesuffix('.json')} and {name}: rename one")
        found[name] = _dashboard(name, item)
    return found


def folder(value: Any) -> str:
    """Grafana's folder for the dashboards; empty for none. Raises ShapeError."""
    if value is not None and not isinstance(value, str):
        raise ShapeError(f"grafanaDashboardFolder is {_kind(value)}: must be a text")
    return (value or "").strip()


def groups(field: str, value: Any) -> list[dict[str, Any]]:
    """Rule groups of ``field``, with text where Prometheus wants text. Raises ShapeError."""
    listed = value.get("groups") if isinstance(value, dict) else value
    if listed is None:
        return []
    if not isinstance(value, dict) or not isinstance(listed, list):
        what = f"{field}.groups is {_kind(listed)}" if isinstance(value, dict) else f"{field} is {_kind(value)}"
        raise ShapeError(f"{what}: {field} must be an object with a list `groups`")
    found: dict[str, dict[str, Any]] = {}
    for place, group in enumerate(listed):
        name = group.get("name") if isinstance(group, dict) else None
        if not isinstance(name, str) or not isinstance(group.get("rules") or [], list):
            raise ShapeError(f"{field}.groups[{place}] is not of the shape {{name: '...', rules: [{{...}}]}}")
        if name in found:
            raise ShapeError(
                f"{field} has two groups {name!r}, and Prometheus refuses a file with both: rename one, "
                "or put the rules of both into one"
            )
        rules = [
            _rule(f"{field}: group {name}", number, rule) for number, rule in enumerate(group.get("rules") or [])
        ]
        found[name] = {**group, "rules": rules}
    return list(found.values())


def _dashboard(name: str, item: Any) -> dict[str, Any]:
    if isinstance(item, str):
        try:
            item = json.loads(item)
        except ValueError as error:
            raise ShapeError(f"grafanaDashboards: {name} is a text, but no JSON: {error}") from None
    if not isinstance(item, dict):
        raise ShapeError(f"grafanaDashboards: {name} is {_kind(item)}: must be a dashboard, which is an object")
    return item


def _rule(where: str, number: int, rule: Any) -> dict[str, Any]:
    if not isinstance(rule, dict):
        raise ShapeError(f"{where}: rules[{number}] is {_kind(rule)}: must be an object")
    if not isinstance(name := rule.get("alert", rule.get("record")), str):
        raise ShapeError(f"{where}: rules[{number}] has no name: alert or record")
    if "expr" not in rule:
        raise ShapeError(f"{where}: {name} has no expr")
    return {key: item for key, item in _texts(f"{where}: {name}", rule) if item is not None}


def _texts(where: str, rule: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The fields of a rule; numbers are text, as they would be in YAML."""
    for key, item in rule.items():
        if key in {"labels", "annotations"}:
            if item is not None and not isinstance(item, dict):
                raise ShapeError(f"{where}: {key} is {_kind(item)}: must be an object")
            yield (
                key,
                None if item is None else {name: _text(f"{where}: {key}.{name}", it) for name, it in item.items()},
            )
        elif key in {"expr", "for", "keep_firing_for", "alert", "record"}:
            yield key, None if item is None else _text(f"{where}: {key}", item)
        else:
            yield key, item


def _text(where: str, item: Any) -> str:
    if isinstance(item, str):
        return item
    if item is None or isinstance(item, dict | list):
        raise ShapeError(f"{where} is {_kind(item)}: must be a text")
    return json.dumps(item)


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "nothing")
