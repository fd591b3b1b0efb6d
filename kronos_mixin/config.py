"""What users lay over `_config`: files of Jsonnet, or of plain YAML for those who write no Jsonnet."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

Config = Mapping[str, Any] | Path
"""Data, or the path of a Jsonnet file."""

_JSONNET = {".jsonnet", ".libsonnet"}


class ConfigError(Exception):
    """A configuration can't be read, or holds what can't be laid over anything."""


class Number(float):
    """A number that knows how it was written: 0.05 has to reach a rule as 0.05."""

    text: str


class Data(dict[str, Any]):
    """A file's data, which knows its lines."""

    file: Path
    lines: Mapping[tuple[str, ...], int]


def read(path: Path) -> Config:
    """Read one file: Jsonnet by its extension, everything else is YAML (JSON is YAML). Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8: {error.reason} at byte {error.start}") from None
    if path.suffix in _JSONNET:
        return path
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            data = {} if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: is not YAML: {error}") from None
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: must hold an object laid over _config, such as `kronos: {{rateWindow: 1m}}`")
    try:
        _check(data, path, ())
    except RecursionError:
        raise ConfigError(f"{path}: holds an alias inside of what it stands for") from None
    result = Data(data)
    result.file = path
    result.lines = dict(_lines(node, ()))
    return result


def laid(configs: Sequence[Config]) -> str:
    """Jsonnet that lays ``configs`` over a mixin, to stand behind it; empty without any."""
    parts = (
        f"(import {json.dumps(str(config.absolute()))})" if isinstance(config, Path) else overlay(config)
        for config in configs
    )
    return "".join(f"+ {{ _config+:: {part} }}" for part in parts)


def overlay(value: Any) -> str:
    """``value`` as Jsonnet in which every object is merged into what it is laid over."""
    if isinstance(value, Mapping):
        fields = ", ".join(_field(key, field) for key, field in value.items())
        return "{" + fields + "}"
    if isinstance(value, list):
        return "[" + ", ".join(overlay(item) for item in value) + "]"
    return value.text if isinstance(value, Number) and value.text.isdecimal() else json.dumps(value)


def unknown_knobs(known: Mapping[str, Any], given: Mapping[str, Any], configs: Sequence[Config]) -> str:
    """One line for everything that is wrong with the keys of the configuration; empty if nothing is.

    ``known`` is the configuration as it was, ``given`` as it is with ``configs`` laid over it. A key must be known,
    an object must stay one, and keep its keys. Each line names the file and line that set it, as far as that can be
    told, and for an unknown key the nearest known one.
    """
    # What is merged may hide what was wrong: to Jsonnet, a text and an object are a text.
    data = [config for config in configs if isinstance(config, Mapping)]
    lines = [line for config in data for line in _unknown(known, config, configs, (), partly=True)]
    return "\n".join(lines or _unknown(known, given, configs, ()))


def _unknown(
    known: Mapping[str, Any],
    given: Mapping[str, Any],
    configs: Sequence[Config],
    path: tuple[str, ...],
    partly: bool = False,
) -> list[str]:
    lines = []
    for key, value in given.items():
        here = (*path, key)
        knob = f"{_place(configs, here)}%s_config.{'.'.join(here)}"
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            meant = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(sorted(known))}."
            lines.append(f"{knob % 'No such knob: '}. {meant}")
        elif isinstance(known[key], Mapping) != isinstance(value, Mapping):
            wanted = "an object" if isinstance(known[key], Mapping) else "no object"
            lines.append(f"{knob % ''} must be {wanted}")
        # An empty object among the defaults is one that users fill with names of their own.
        elif isinstance(value, Mapping) and known[key]:
            lines += _unknown(known[key], value, configs, here, partly)
    if not partly and (lost := sorted(known.keys() - given.keys())):
        knob = ".".join(("_config", *path))
        lines.append(
            f"{_place(configs, path)}{knob} has lost {', '.join(lost)}: write `{path[-1]}+:`, not `{path[-1]}:`"
        )
    return lines


def _place(configs: Sequence[Config], path: tuple[str, ...]) -> str:
    for config in reversed(configs):
        if isinstance(config, Data) and path in config.lines:
            return f"{config.file}:{config.lines[path]}: "
    return ""


def _field(key: str, value: Any) -> str:
    name = json.dumps(key)
    if isinstance(value, Mapping):
        return f"{name}+: {overlay(value)}"
    if isinstance(value, Number):
        # Thresholds are texts, because Jsonnet prints 0.05 as 0.050000000000000003. Who writes no Jsonnet should not
        # have to know: a number takes the kind of what it replaces.
        kind = f"{name} in super && std.isString(super[{name}])"
        return f"{name}: if {kind} then {json.dumps(value.text)} else {overlay(value)}"
    return f"{name}: {overlay(value)}"


def _check(value: Any, path: Path, place: tuple[str, ...]) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ConfigError(f"{path}: {'.'.join(place) or 'the top level'}: key {key!r} is no text: quote it")
            _check(item, path, (*place, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _check(item, path, (*place, str(number)))
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{path}: {'.'.join(place)}: {value} is no number that Jsonnet knows: quote it")
    elif value is not None and not isinstance(value, str | bool | float):
        raise ConfigError(f"{path}: {'.'.join(place)}: {value} is no text, number or truth value: quote it")


def _lines(node: yaml.Node | None, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], int]]:
    if not isinstance(node, yaml.MappingNode):
        return []
    found = []
    for key, value in node.value:
        here = (*path, str(key.value))
        found.append((here, key.start_mark.line + 1))
        found += _lines(value, here)
    return found


class _Loader(yaml.SafeLoader):
    """YAML in which numbers remember how they were written, and a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    raise yaml.MarkedYAMLError(problem=f"{key.value} stands twice", problem_mark=key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Number:
    integer = node.tag.endswith(":int")
    number = Number(loader.construct_yaml_int(node) if integer else loader.construct_yaml_float(node))
    number.text = node.value
    return number


_Loader.add_constructor("tag:yaml.org,2002:int", _number)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)
