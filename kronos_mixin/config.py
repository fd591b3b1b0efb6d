"""Users' overrides of `_config`, in Jsonnet or YAML."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

Config = Mapping[str, Any] | Path
"""Data, or the path of a Jsonnet file."""

_JSONNET = {".jsonnet", ".libsonnet"}


class ConfigError(Exception):
    """A configuration file can't be read, or holds something that Jsonnet can't represent."""


class Number(float):
    """A number that knows how it was written: 0.05 has to reach a rule as 0.05."""

    text: str


class Data(dict[str, Any]):
    """Data that knows where it was written."""

    def __init__(self, data: Mapping[str, Any], places: Mapping[tuple[str, ...], str]) -> None:
        """`places` maps the path of each value to where it stands, `file:line`."""
        super().__init__(data)
        self.places = places


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
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        data = {} if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{line}: is not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: is not YAML: {error}") from None
    finally:
        loader.dispose()
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: must hold an object laid over _config, such as `kronos: {{rateWindow: 1m}}`")
    try:
        places = {place: f"{path}:{line}" for place, line in _lines(node, ())}
        _check(data, (), lambda place: places.get(place, str(path)))
    except RecursionError:
        raise ConfigError(f"{path}: has a YAML alias that contains itself") from None
    return Data(data, places)


def meant(name: str, known: Iterable[str]) -> str:
    """What somebody may have meant by a ``name`` that does not exist: the nearest of the ``known`` ones, or all."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known)}." if known else "There is none."


def overlays(configs: Sequence[Config], texts: bool = False) -> str:
    """Jsonnet that lays `configs` over a mixin, to stand behind it; empty without any. `texts` as in `overlay`."""
    parts = (
        f"(import {json.dumps(str(config.absolute()))})" if isinstance(config, Path) else overlay(config, texts)
        for config in configs
    )
    return "".join(f"+ {{ _config+:: {part} }}" for part in parts)


def overlay(value: Any, texts: bool = False) -> str:
    """`value` as Jsonnet in which every object is merged into what it is laid over.

    With `texts` every number becomes a text, as it was written; without, only one that replaces a text.
    """
    if isinstance(value, Mapping):
        fields = ", ".join(_field(key, field, texts) for key, field in value.items())
        return "{" + fields + "}"
    if isinstance(value, list):
        return "[" + ", ".join(overlay(item, texts) for item in value) + "]"
    if isinstance(value, Number):
        return json.dumps(value.text) if texts else value.text if value.text.isdecimal() else json.dumps(value)
    return json.dumps(value)


def _field(key: str, value: Any, texts: bool) -> str:
    name = json.dumps(key)
    if isinstance(value, Mapping):
        return f"{name}+: {overlay(value, texts)}"
    if isinstance(value, Number) and not texts:
        # Thresholds are texts, because Jsonnet prints 0.05 as 0.050000000000000003. Who writes no Jsonnet should not
        # have to know: a number takes the kind of what it replaces.
        kind = f"{name} in super && std.isString(super[{name}])"
        return f"{name}: if {kind} then {json.dumps(value.text)} else {overlay(value)}"
    return f"{name}: {overlay(value, texts)}"


def _check(value: Any, place: tuple[str, ...], where: Callable[[tuple[str, ...]], str]) -> None:
    """Raise ConfigError for what Jsonnet can't hold; `where` gives the file, and the line if it is known."""
    name = ".".join(place) or "the top level"
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ConfigError(f"{where(place)}: {name}: key {key!r} is no text: quote it")
            _check(item, (*place, key), where)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _check(item, (*place, str(number)), where)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where(place)}: {name}: {value} is no number that Jsonnet knows: quote it")
    elif value is not None and not isinstance(value, str | bool | float):
        raise ConfigError(f"{where(place)}: {name}: {value} is no text, number or truth value: quote it")


def _lines(node: yaml.Node | None, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    """The line of every key and of every item of a list."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            yield here, key.start_mark.line + 1
            yield from _lines(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            here = (*path, str(number))
            yield here, item.start_mark.line + 1
            yield from _lines(item, here)


class _Loader(yaml.SafeLoader):
    """YAML in which numbers remember how they were written, and a key that appears twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    raise yaml.MarkedYAMLError(problem=f"{key.value} appears twice", problem_mark=key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Number:
    integer = node.tag.endswith(":int")
    number = Number(loader.construct_yaml_int(node) if integer else loader.construct_yaml_float(node))
    number.text = node.value
    return number


_Loader.add_constructor("tag:yaml.org,2002:int", _number)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)
