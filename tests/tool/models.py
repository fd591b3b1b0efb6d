"""Looks into the types of other tools."""

from __future__ import annotations

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
