"""Checks dashboards against the types of Grafana's SDK for Python.

The SDK itself accepts anything: it drops unknown keys and takes values of any type. So the JSON is compared with the
type hints of its classes. Which key belongs to which attribute is only in the source of each class's `from_json`.
"""

from __future__ import annotations

import ast
import enum
import functools
import importlib
import inspect
import sys
import textwrap
import types
import typing
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from grafana_foundation_sdk.cog import plugins, variants

with warnings.catch_warnings():
    # It recommends a newer schema, which Grafana 10.4 can't read.
    warnings.filterwarnings("ignore", message="Prefer using dashboardv2")
    from grafana_foundation_sdk.models import dashboard as schema

_MODELS = "grafana_foundation_sdk.models"


def problems(dashboard: Mapping[str, Any]) -> list[str]:
    """Return all unknown keys and all values of the wrong type, with their paths."""
    plugins.register_default_plugins()
    return list(_object(dashboard, schema.Dashboard, "", None))


def mismatches(value: Any, cls: type) -> list[str]:
    """Return all unknown keys and all values of the wrong type of an object that should be of a class of the SDK."""
    return list(_object(value, cls, "", None))


def _object(value: Any, cls: type, path: str, panel: Mapping[str, Any] | None) -> Iterator[str]:
    """Check an object against a class. ``panel`` is the panel around it: some keys depend on its type."""
    if not isinstance(value, dict):
        yield f"{path}: must be an object, not {value!r}"
        return
    if cls is schema.Panel:
        panel = value
        if _model(panel) is None:
            yield f"{path}/type: {panel.get('type')!r} is not a panel type that the SDK knows"
    fields = _fields(cls)
    for key, item in value.items():
        own = _of_panel_kind(cls, key, panel)
        if own is not None:
            yield from _object(item, own, f"{path}/{key}", panel)
        elif key in fields:
            yield from _value(item, fields[key], f"{path}/{key}", cls, panel)
        else:
            yield f"{path}/{key}: is not a field of {cls.__name__}"
    if cls is schema.DynamicConfigValue:
        yield from _override(value, path, panel)


def _of_panel_kind(cls: type, key: str, panel: Mapping[str, Any] | None) -> type | None:
    """The class for keys that depend on the type of panel: `options`, and `custom` of its fields."""
    name = {(schema.Panel, "options"): "Options", (schema.FieldConfig, "custom"): "FieldConfig"}.get((cls, key))
    found: type | None = getattr(_model(panel or {}), name, None) if name else None
    return found


def _override(item: Mapping[str, Any], path: str, panel: Mapping[str, Any] | None) -> Iterator[str]:
    """Check an override, which names a property by its path, such as `custom.lineWidth`."""
    name = str(item.get("id", ""))
    if not name:
        yield f"{path}: an override without an id"
        return
    first, _, rest = name.partition(".")
    cls = _of_panel_kind(schema.FieldConfig, "custom", panel) if first == "custom" else schema.FieldConfig
    key = rest if first == "custom" else name
    if cls is None or key not in _fields(cls):
        yield f"{path}/id: {name} is not a property of a {(panel or {}).get('type')} panel"
    else:
        yield from _value(item.get("value"), _fields(cls)[key], f"{path}/value", cls, panel)


def _value(value: Any, hint: Any, path: str, owner: type, panel: Mapping[str, Any] | None) -> Iterator[str]:
    """Check a value against a type hint of ``owner``."""
    hint = _resolved(hint, owner)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in (typing.Any, object):
        return
    if origin in (typing.Union, types.UnionType):
        yield from _union(value, arguments, path, owner, panel)
    elif origin in (list, dict):
        yield from _collection(value, origin, arguments[-1], path, owner, panel)
    elif origin is typing.Literal:
        if value not in arguments:
            yield f"{path}: must be {' or '.join(map(repr, arguments))}, not {value!r}"
    elif inspect.isclass(hint):
        yield from _class(value, hint, path, panel)


def _collection(
    value: Any, kind: type, hint: Any, path: str, owner: type, panel: Mapping[str, Any] | None
) -> Iterator[str]:
    """Check the items of a list or an object against the hint for one item."""
    if not isinstance(value, kind):
        yield f"{path}: must be {'a list' if kind is list else 'an object'}, not {value!r}"
        return
    given: Any = value
    for key, item in given.items() if kind is dict else enumerate(given):
        yield from _value(item, hint, f"{path}/{key}", owner, panel)


def _union(
    value: Any, choices: tuple[Any, ...], path: str, owner: type, panel: Mapping[str, Any] | None
) -> list[str]:
    """No problems if one choice fits, else those of the choice that fits best."""
    if value is None and type(None) in choices:
        return []
    resolved = [_resolved(choice, owner) for choice in choices if choice is not type(None)]
    if schema.RowPanel in resolved and isinstance(value, dict):
        # Only its type tells a row from a panel.
        resolved = [schema.RowPanel if value.get("type") == "row" else schema.Panel]
    found = [list(_value(value, choice, path, owner, panel)) for choice in resolved]
    return min(found, key=len, default=[])


def _class(value: Any, cls: type, path: str, panel: Mapping[str, Any] | None) -> Iterator[str]:
    if issubclass(cls, enum.Enum):
        if value not in [member.value for member in cls]:
            yield f"{path}: {value!r} is not one of {', '.join(str(member.value) for member in cls)}"
    elif cls is variants.Dataquery:
        yield from _query(value, path, panel)
    elif cls in (str, bool, int, float):
        kinds = (int, float) if cls is float else cls
        if not isinstance(value, kinds) or (isinstance(value, bool) and cls is not bool):
            yield f"{path}: must be of the type {cls.__name__}, not {value!r}"
    elif hasattr(cls, "from_json"):
        yield from _object(value, cls, path, panel)


def _query(value: Any, path: str, panel: Mapping[str, Any] | None) -> Iterator[str]:
    """Check a query against the type of its data source."""
    source = value.get("datasource") or (panel or {}).get("datasource") if isinstance(value, dict) else None
    kind = source.get("type") if isinstance(source, dict) else None
    model = _module(str(kind))
    if not hasattr(model, "Dataquery"):
        yield f"{path}: uses a data source of the unknown type {kind!r}"
    else:
        yield from _object(value, model.Dataquery, path, panel)


def _model(panel: Mapping[str, Any]) -> Any:
    return _module(str(panel.get("type")))


@functools.cache
def _module(name: str) -> Any:
    try:
        return importlib.import_module(f"{_MODELS}.{name}")
    except ModuleNotFoundError:
        return None


@functools.cache
def _fields(cls: type) -> Mapping[str, Any]:
    """The type hint of each JSON key of a class."""
    hints = {
        name: hint for base in reversed(cls.__mro__) for name, hint in vars(base).get("__annotations__", {}).items()
    }
    source = ast.parse(textwrap.dedent(inspect.getsource(cls.from_json)))  # type: ignore[attr-defined]
    fields = {}
    # `if "fieldConfig" in data: args["field_config"] = ...`
    for node in ast.walk(source):
        if not (isinstance(node, ast.If) and isinstance(node.test, ast.Compare)):
            continue
        for line in ast.walk(node):
            if isinstance(line, ast.Assign) and isinstance(target := line.targets[0], ast.Subscript):
                key, attribute = ast.literal_eval(node.test.left), ast.literal_eval(target.slice)
                fields[key] = hints.get(attribute, typing.Any)
    # The type of a row, for example, is a constant: from_json does not read it.
    if '"type"' in inspect.getsource(cls.to_json):  # type: ignore[attr-defined]
        fields.setdefault("type", str)
    return fields


def _resolved(hint: Any, owner: type) -> Any:
    """Evaluate a hint that is a string, as most are, in the module of its class."""
    text = hint.__forward_arg__ if isinstance(hint, typing.ForwardRef) else hint
    if isinstance(text, str):
        return eval(text, dict(vars(sys.modules[owner.__module__])))  # noqa: S307 - It is the SDK's own source.
    return hint
