"""Looks into the types of other tools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel


def unknown(data: Any, annotation: Any, path: str = "") -> list[str]:
    """Keys that the type does not know: the model itself takes any."""
    models = [part for part in [annotation, *get_args(annotation)] if isinstance(part, type)]
    model = next((part for part in models if issubclass(part, BaseModel)), None)
    inner = [part for part in get_args(annotation) if part is not type(None)]
    if isinstance(data, list):
        item = next((get_args(part)[0] for part in [annotation, *inner] if get_args(part)), None)
        return [found for number, entry in enumerate(data) for found in unknown(entry, item, f"{path}[{number}]")]
    if not isinstance(data, dict) or model is None:
        return []
    fields = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
    found = [f"{path}.{key}" for key in data if key not in fields]
    return found + [hit for key in data if key in fields for hit in unknown(data[key], fields[key], f"{path}.{key}")]


def dropped(data: Any, model: Any) -> list[str]:
    """Where a type of Grafana's SDK does not give back what it was given: fields that it does not know."""
    return list(_differences(data, _plain(model.from_json(data)), ""))


def _differences(given: Any, back: Any, path: str) -> Iterator[str]:
    if isinstance(given, dict) and isinstance(back, dict):
        for key, value in given.items():
            if value is not None:  # Which is no field at all there; defaults may be more.
                yield from _differences(value, back.get(key), f"{path}.{key}")
    elif isinstance(given, list) and isinstance(back, list) and len(given) == len(back):
        for number, (one, other) in enumerate(zip(given, back, strict=True)):
            yield from _differences(one, other, f"{path}[{number}]")
    # Some texts come back as a set of the text.
    elif given not in (back, *(back if isinstance(back, set) else ())):
        yield f"{path}: {given!r} became {back!r}"


def _plain(value: Any) -> Any:
    if hasattr(value, "to_json"):
        value = value.to_json()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
